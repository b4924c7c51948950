package assertiond.client;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelException;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelOption;
import io.netty.channel.DefaultChannelConfig;
import io.netty.channel.FileRegion;
import io.netty.channel.nio.AbstractNioByteChannel;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;

/** A Unix domain socket of the JDK (16 or later) for Netty, whose own ones need native code that Debian does not build. */
final class UnixSocketChannel extends AbstractNioByteChannel {
  private final ChannelConfig config = new Config(this);

  UnixSocketChannel() {
    super(null, open());
  }

  private static SocketChannel open() {
    try {
      return SocketChannel.open(StandardProtocolFamily.UNIX);
    } catch (IOException e) {
      throw new ChannelException("cannot open a Unix socket", e);
    }
  }

  @Override
  protected SocketChannel javaChannel() {
    return (SocketChannel) super.javaChannel();
  }

  @Override
  public ChannelConfig config() {
    return config;
  }

  @Override
  public boolean isActive() {
    return javaChannel().isOpen() && javaChannel().isConnected();
  }

  @Override
  protected boolean doConnect(SocketAddress remote, SocketAddress local) throws Exception {
    boolean connected = javaChannel().connect(remote);
    if (!connected) {
      selectionKey().interestOps(SelectionKey.OP_CONNECT);
    }
    return connected;
  }

  @Override
  protected void doFinishConnect() throws Exception {
    if (!javaChannel().finishConnect()) {
      throw new IllegalStateException("the socket is not connected");
    }
  }

  @Override
  protected int doReadBytes(ByteBuf into) throws Exception {
    var allocation = unsafe().recvBufAllocHandle();
    allocation.attemptedBytesRead(into.writableBytes());
    return into.writeBytes(javaChannel(), allocation.attemptedBytesRead());
  }

  @Override
  protected int doWriteBytes(ByteBuf from) throws Exception {
    return from.readBytes(javaChannel(), from.readableBytes());
  }

  @Override
  protected long doWriteFileRegion(FileRegion region) {
    throw new UnsupportedOperationException("gRPC writes no files");
  }

  @Override
  protected void doBind(SocketAddress local) {
    throw new UnsupportedOperationException("a client's socket has no name");
  }

  @Override
  protected void doDisconnect() throws Exception {
    doClose();
  }

  @Override
  protected void doClose() throws Exception {
    super.doClose();
    javaChannel().close();
  }

  @Override
  protected ChannelFuture shutdownInput() {
    try {
      javaChannel().shutdownInput();
      return newSucceededFuture();
    } catch (IOException e) {
      return newFailedFuture(e);
    }
  }

  @Override
  protected SocketAddress localAddress0() {
    return null;
  }

  @Override
  protected SocketAddress remoteAddress0() {
    try {
      return javaChannel().getRemoteAddress();
    } catch (IOException e) {
      return null;
    }
  }

  private static final class Config extends DefaultChannelConfig {
    Config(Channel channel) {
      super(channel);
    }

    /** gRPC sets SO_KEEPALIVE, which a Unix socket does not need. */
    @Override
    public <T> boolean setOption(ChannelOption<T> option, T value) {
      return option == ChannelOption.SO_KEEPALIVE || super.setOption(option, value);
    }
  }
}
