package assertiond.client;

import assertion.v1.AccessTokenServiceGrpc;
import assertion.v1.AssertionServiceGrpc;
import assertion.v1.CreateAssertionRequest;
import assertion.v1.CreateAssertionResponse;
import assertion.v1.CreateDpopProofRequest;
import assertion.v1.CreateDpopProofResponse;
import assertion.v1.CreateRequestObjectRequest;
import assertion.v1.CreateRequestObjectResponse;
import assertion.v1.GetAccessTokenRequest;
import assertion.v1.GetAccessTokenResponse;
import assertion.v1.GetCertificateRequest;
import assertion.v1.GetCertificateResponse;
import assertion.v1.GetJwksRequest;
import assertion.v1.GetJwksResponse;
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

/**
 * One connection to assertiond, usable from many threads. Keep one for the life of the process.
 *
 * <p>Every call has a deadline, which includes its retries. Calls fail with {@link AssertiondException}.
 */
public final class Client implements AutoCloseable {
  public static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(5);
  private static final String UNIX = "unix:";

  private final EventLoopGroup loop;
  private final ManagedChannel channel;
  private final Duration timeout;
  private final Retries retries;

  /** server: unix:/path, or HOST:PORT together with tls. timeout: for a whole call, retries included. */
  private Client(String server, Tls tls, Duration timeout) throws IOException {
    check(timeout);
    if (tls == null && !server.startsWith(UNIX)) {
      throw new IllegalArgumentException(
          "server \"" + server + "\" needs TLS: without it only unix:/path is allowed");
    }
    this.timeout = timeout;
    loop = new NioEventLoopGroup(1, new DefaultThreadFactory("assertiond", true));
    channel = (tls == null ? overUnixSocket(server) : overTls(server, tls)).eventLoopGroup(loop).build();
    retries = new Retries(channel::resetConnectBackoff);
  }

  /** PEM files: the authorities of the server's certificate, this caller's certificate, and its key (PKCS #8). */
  public record Tls(Path authorities, Path certificate, Path key) {}

  public static Client connect(String server) {
    return connect(server, DEFAULT_TIMEOUT);
  }

  public static Client connect(String server, Duration timeout) {
    try {
      return new Client(server, null, timeout);
    } catch (IOException e) {
      throw new IllegalStateException(e); // only files of TLS are read
    }
  }

  public static Client connect(String address, Tls tls, Duration timeout) throws IOException {
    return new Client(address, tls, timeout);
  }

  private static NettyChannelBuilder overUnixSocket(String server) {
    String path = server.substring(UNIX.length());
    var address = UnixDomainSocketAddress.of(path.startsWith("//") ? path.substring(2) : path);
    return NettyChannelBuilder.forAddress(address)
        .channelFactory(UnixSocketChannel::new)
        .overrideAuthority("localhost")
        .usePlaintext(); // the kernel tells the server who calls
  }

  private static NettyChannelBuilder overTls(String address, Tls tls) throws IOException {
    var credentials = TlsChannelCredentials.newBuilder()
        .trustManager(tls.authorities().toFile())
        .keyManager(tls.certificate().toFile(), tls.key().toFile())
        .build();
    return NettyChannelBuilder.forTarget(address, credentials).channelType(NioSocketChannel.class);
  }

  public CreateAssertionResponse createAssertion(CreateAssertionRequest request) {
    return call(AssertionServiceGrpc.getCreateAssertionMethod(), request, timeout);
  }

  /** timeout: for this call, retries included. */
  public CreateAssertionResponse createAssertion(CreateAssertionRequest request, Duration timeout) {
    return call(AssertionServiceGrpc.getCreateAssertionMethod(), request, timeout);
  }

  /** A client assertion for one token request. */
  public CreateAssertionResponse createAssertion(String clientId, String audience) {
    return createAssertion(CreateAssertionRequest.newBuilder().setClientId(clientId).setAudience(audience).build());
  }

  public CreateDpopProofResponse createDpopProof(CreateDpopProofRequest request) {
    return call(AssertionServiceGrpc.getCreateDpopProofMethod(), request, timeout);
  }

  public CreateRequestObjectResponse createRequestObject(CreateRequestObjectRequest request) {
    return call(AssertionServiceGrpc.getCreateRequestObjectMethod(), request, timeout);
  }

  /** A token that assertiond bought and shares among all callers of the client. */
  public GetAccessTokenResponse getAccessToken(GetAccessTokenRequest request) {
    return call(AccessTokenServiceGrpc.getGetAccessTokenMethod(), request, timeout);
  }

  /** timeout: for this call, retries included. */
  public GetAccessTokenResponse getAccessToken(GetAccessTokenRequest request, Duration timeout) {
    return call(AccessTokenServiceGrpc.getGetAccessTokenMethod(), request, timeout);
  }

  public GetCertificateResponse getCertificate(GetCertificateRequest request) {
    return call(AssertionServiceGrpc.getGetCertificateMethod(), request, timeout);
  }

  public GetJwksResponse getJwks(GetJwksRequest request) {
    return call(AssertionServiceGrpc.getGetJwksMethod(), request, timeout);
  }

  /** Many assertions in flight at once. */
  public AssertionStream stream() {
    return new AssertionStream(AssertionServiceGrpc.newStub(channel), retries, timeout);
  }

  /** Ends the connection. Calls that are under way fail. */
  @Override
  public void close() {
    retries.close();
    channel.shutdownNow();
    loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  private static void check(Duration timeout) {
    if (timeout.isZero() || timeout.isNegative()) {
      throw new IllegalArgumentException("timeout must be a positive duration, not " + timeout);
    }
  }

  /** gRPC would send null as an empty message. */
  static void checkThere(Object request) {
    if (request == null) {
      throw new IllegalArgumentException("the request is null");
    }
  }

  private <Request, Reply> Reply call(MethodDescriptor<Request, Reply> method, Request request, Duration timeout) {
    check(timeout);
    checkThere(request);
    try {
      return retries.repeat(timeout, left -> {
        var answer = new CompletableFuture<Reply>();
        var options = CallOptions.DEFAULT.withDeadlineAfter(left.toNanos(), TimeUnit.NANOSECONDS);
        ClientCalls.asyncUnaryCall(channel.newCall(method, options), request, completing(answer));
        return answer;
      }).join();
    } catch (CompletionException e) {
      throw AssertiondException.of(e.getCause());
    }
  }

  private static <Reply> StreamObserver<Reply> completing(CompletableFuture<Reply> answer) {
    return new StreamObserver<>() {
      @Override
      public void onNext(Reply reply) {
        answer.complete(reply);
      }

      @Override
      public void onError(Throwable failure) {
        answer.completeExceptionally(AssertiondException.of(failure));
      }

      @Override
      public void onCompleted() {}
    };
  }
}
