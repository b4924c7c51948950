#include "oauth/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <ctime>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "assertion/descriptor.h"
#include "certificate_authority.h"

namespace assertion::oauth {
namespace {

using std::chrono::milliseconds;

// A socket that listens on a free port of 127.0.0.1.
class LoopbackSocket {
 public:
  LoopbackSocket() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 1), 0);
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = std::to_string(ntohs(address.sin_port));
  }

  const std::string& port() const { return port_; }
  Descriptor Accept() const { return Descriptor(accept(socket_.get(), nullptr, nullptr)); }

 private:
  Descriptor socket_;
  std::string port_;
};

// A server on a loopback port that answers one connection with the texts that `next` makes, a pause before each, until
// the client has gone or an empty text comes.
class HostileServer {
 public:
  HostileServer(milliseconds pause, std::function<std::string()> next)
      : origin_("http://127.0.0.1:" + listener_.port()) {
    thread_ = std::jthread([this, pause, next = std::move(next)] { Answer(pause, next); });
  }

  const std::string& origin() const { return origin_; }

 private:
  void Answer(milliseconds pause, const std::function<std::string()>& next) const {
    const auto client = listener_.Accept();
    pollfd gone{.fd = client.get(), .events = POLLRDHUP, .revents = 0};
    for (auto text = next(); !text.empty() && poll(&gone, 1, static_cast<int>(pause.count())) == 0; text = next()) {
      if (send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) {
        return;
      }
    }
  }

  LoopbackSocket listener_;
  std::string origin_;
  std::jthread thread_;
};

// Speaks TLS with one client and answers nothing: once it has the request, it has the client give up.
class SilentTlsServer {
 public:
  std::string origin() const { return "https://127.0.0.1:" + listener_.port(); }
  std::string ca_file() const { return authority_.directory() / "ca.pem"; }
  std::stop_token given_up() const { return client_.get_token(); }

 private:
  void Serve() {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    EXPECT_EQ(SSL_CTX_use_certificate_file(context.get(), ca_file().c_str(), SSL_FILETYPE_PEM), 1);
    const std::string key = authority_.directory() / "ca.key";
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM), 1);
    const auto socket = listener_.Accept();
    const std::unique_ptr<SSL, decltype(&SSL_free)> client(SSL_new(context.get()), SSL_free);
    SSL_set_fd(client.get(), socket.get());
    EXPECT_EQ(SSL_accept(client.get()), 1);
    std::array<char, 4096> request{};
    EXPECT_GT(SSL_read(client.get(), request.data(), request.size()), 0);
    client_.request_stop();
    EXPECT_LE(SSL_read(client.get(), request.data(), request.size()), 0) << "the client goes";
  }

  CertificateAuthority authority_{
      "server", CertificateAuthority::kEc, {.extensions = "basicConstraints=CA:TRUE\nsubjectAltName=IP:127.0.0.1\n"}};
  LoopbackSocket listener_;
  std::stop_source client_;
  std::jthread thread_{[this] { Serve(); }};
};

HttpRequest Get(milliseconds limit) { return {.limit = limit}; }

std::function<std::string()> Once(std::string first, std::string_view then) {
  return [first = std::move(first), then, begun = false]() mutable {
    return std::exchange(begun, true) ? std::string(then) : first;
  };
}

constexpr milliseconds kLong = std::chrono::minutes(1);

TEST(Http, AnAnswerIsRead) {
  const HostileServer server(milliseconds(0), Once("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", ""));
  const auto answer = Exchange(server.origin(), "", Get(kLong));
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->body, "{}");
}

TEST(Http, AHostIsFoundByNameAndItsAddressesAreTriedInTurn) {
  const HostileServer server(milliseconds(0), Once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ""));
  const auto port = server.origin().substr(server.origin().rfind(':'));
  const auto answer = Exchange("http://localhost" + port, "", Get(kLong));  // ::1 may come first
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->body, "{}");
}

TEST(Http, AHostWithoutAnAddressIsNamed) {
  const auto answer = Exchange("https://no-such-host.invalid", "", Get(kLong));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message,
            "no answer from https://no-such-host.invalid: this machine finds no host of that name");
}

// httplib takes a 103 for the final answer. The message must name the cause, and nobody may get the rest for a body.
TEST(Http, AnInterimAnswerIsNamed) {
  for (const auto* const interim : {"103 Early Hints", "102 Processing"}) {
    const HostileServer server(milliseconds(0),
                               Once(std::string("HTTP/1.1 ") + interim +
                                        "\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                                    ""));
    const auto answer = Exchange(server.origin(), "", Get(kLong));
    ASSERT_FALSE(answer) << answer->body;
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
    EXPECT_TRUE(answer.error().message.contains("interim HTTP " + std::string(interim).substr(0, 3)))
        << answer.error().message;
  }
}

TEST(Http, AContinueBeforeTheAnswerIsPassedOver) {
  const HostileServer server(milliseconds(0),
                             Once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ""));
  const auto answer = Exchange(server.origin(), "", Get(kLong));
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "{}");
}

// Each octet comes within the limit of a wait.
TEST(Http, AHeaderThatTricklesInEndsAtTheLimit) {
  const HostileServer server(milliseconds(10), Once("HTTP/1.1 200 OK\r\nX: ", "x"));
  const auto answer = Exchange(server.origin(), "", Get(milliseconds(300)));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_TRUE(answer.error().message.contains("takes too long")) << answer.error().message;
}

TEST(Http, ABodyThatTricklesInEndsAtTheLimit) {
  const HostileServer server(milliseconds(10), Once("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "x"));
  const auto answer = Exchange(server.origin(), "", Get(milliseconds(300)));
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().message.contains("takes too long")) << answer.error().message;
}

TEST(Http, AHeaderWithoutEndEndsAtItsSize) {
  const auto line = "X: " + std::string(4000, 'x') + "\r\n";
  const HostileServer server(milliseconds(0), Once("HTTP/1.1 200 OK\r\n", line));
  const auto answer = Exchange(server.origin(), "", Get(kLong));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_TRUE(answer.error().message.contains("larger than 1 MiB")) << answer.error().message;
}

TEST(Http, ABodyWithoutEndEndsAtItsSize) {
  const std::string part(4000, 'x');
  const HostileServer server(milliseconds(0), Once("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", part));
  const auto answer = Exchange(server.origin(), "", Get(kLong));
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().message.contains("larger than 1 MiB")) << answer.error().message;
}

TEST(Http, AnAnswerEndsAtTheSizeThatTheRequestNames) {
  const std::string part(3000, 'x');
  const HostileServer server(milliseconds(0), Once("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n", part));
  auto request = Get(kLong);
  request.most_octets = 2048;
  const auto answer = Exchange(server.origin(), "", request);
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().message.contains("larger than 2 KiB")) << answer.error().message;
}

volatile std::sig_atomic_t broken_pipes = 0;

// OpenSSL says good-bye on the connection that was shut down.
TEST(Http, ATlsConnectionThatWasGivenUpEndsWithoutSigpipe) {
  SilentTlsServer server;
  auto request = Get(kLong);
  request.given_up = server.given_up();
  auto* const before = std::signal(SIGPIPE, [](int) { broken_pipes = broken_pipes + 1; });
  const auto answer = Exchange(server.origin(), server.ca_file(), request);
  std::signal(SIGPIPE, before);
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().message.contains("the program stops")) << answer.error().message;
  EXPECT_EQ(broken_pipes, 0);
  sigset_t blocked{};
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&blocked, SIGPIPE), 0);
}

TEST(Http, ASigpipeThatWaitedBeforeStillWaits) {
  sigset_t pipe{};
  sigset_t before{};
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  raise(SIGPIPE);
  EXPECT_FALSE(Exchange("http://127.0.0.1:1", "", Get(kLong)));
  constexpr timespec kAtOnce{};
  EXPECT_EQ(sigtimedwait(&pipe, nullptr, &kAtOnce), SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The child has no right to more threads than it has.
// httplib's own parser ends the process on some of these.
TEST(Http, AUrlHasAHostAndAPort) {
  const auto many = std::string(20'000, '0');
  for (const auto& url :
       {"http://127.0.0.1:99999999999999999999/token", "https://is.example:65536/", "https://is.example:0/",
        "https://is.example:/", "https://is.example:8x/", "https://is.example:-1/", "https://[2001:db8::g]/",
        "https://[::1/", "https://[::1]8443/", "https://is%2eexample/", "https://:8443/"}) {
    EXPECT_FALSE(ParseUrl("it", url)) << url;
  }
  for (const auto& url : {"http://127.0.0.1:" + many + "18099/token", "https://127." + many + "1/token",
                          "https://" + std::string(254, 'a') + "/", "https://is.example/" + many}) {
    EXPECT_FALSE(ParseUrl("it", url)) << url.size();
  }
  for (const auto* url : {"https://is.example/token", "https://is.example:65535", "https://[2001:db8::a]:8443/t?x=1",
                          "http://127.0.0.1:1/", "http://[::1]:8080/", "http://localhost/"}) {
    EXPECT_TRUE(ParseUrl("it", url)) << url;
  }
}

TEST(HttpDeathTest, AProcessAtItsLimitOfThreadsGoesOn) {
  EXPECT_EXIT(
      {
        const rlimit none{};
        static_cast<void>(setrlimit(RLIMIT_NPROC, &none));
        static_cast<void>(setuid(65'534));
        const auto answer = Exchange("http://127.0.0.1:1", "", Get(kLong));
        _exit(!answer && answer.error().message.contains("may start no more threads") ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace assertion::oauth
