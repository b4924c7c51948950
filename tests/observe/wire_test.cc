#include "observe/wire.h"

#include <gtest/gtest.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>

namespace assertion {
namespace {

using SslPtr = std::unique_ptr<SSL, x509::Deleter<SSL_free>>;

// A server's context with a certificate of its own making.
x509::ServerContext SelfSigned() {
  const x509::KeyPtr key(EVP_RSA_gen(2048));
  const x509::X509Ptr certificate(X509_new());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  x509::ServerContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
  return context;
}

int Unread(int socket) {
  int octets = 0;
  EXPECT_EQ(ioctl(socket, FIONREAD, &octets), 0);
  return octets;
}

// One who sends them faster than they are worked off would keep the loop of all connections in one call.
TEST(WireTest, AReadTakesOneKeyUpdateAndReturns) {
  std::array<int, 2> sockets{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets.data()), 0);
  const Descriptor peer(sockets[1]);
  Wire wire{Descriptor(sockets[0]), SelfSigned()};
  const std::shared_ptr<SSL_CTX> client_context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const SslPtr client(SSL_new(client_context.get()));
  SSL_set_fd(client.get(), peer.get());
  for (int step = 0; step < 10 && SSL_connect(client.get()) != 1; ++step) {
    wire.ShakeHands();
  }
  ASSERT_EQ(SSL_is_init_finished(client.get()), 1);
  ASSERT_EQ(wire.ShakeHands().state, Wire::State::kDone);
  constexpr int kUpdates = 100;
  for (int i = 0; i < kUpdates; ++i) {
    ASSERT_EQ(SSL_key_update(client.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client.get()), 1);
  }
  std::array<char, 16> octets{};
  int reads = 0;
  for (int left = Unread(wire.descriptor()); left > 0; ++reads) {
    ASSERT_EQ(wire.Read(octets).state, Wire::State::kWaitsToRead);
    const int now = Unread(wire.descriptor());
    ASSERT_LT(now, left);
    left = now;
  }
  EXPECT_GE(reads, kUpdates);
  ASSERT_EQ(SSL_write(client.get(), "hello", 5), 5);
  const auto read = wire.Read(octets);
  EXPECT_EQ(read.state, Wire::State::kDone);
  EXPECT_EQ(read.octets, 5U);
}

}  // namespace
}  // namespace assertion
