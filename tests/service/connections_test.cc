#include "service/connections.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "assertion/descriptor.h"
#include "service/tcp_sockets.h"

namespace assertion::service {
namespace {

constexpr std::size_t kHandshakes = 16;  // one source may have an eighth of them: two

sockaddr_in At(const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return address;
}

// Clients that send one octet, and the descriptors that gRPC would get. No TLS handshake takes place.
class ConnectionsTest : public testing::Test {
 protected:
  explicit ConnectionsTest(const ConnectionLimits& limits)
      : sockets_(*TcpSockets::Listen("127.0.0.1:0")),
        connections_(limits, {.sockets = sockets_.descriptors(),
                              .origin = TcpSockets::OriginOf,
                              .listed = [](const std::string&) { return false; },
                              .greeting = [this](std::string_view) { return Hear(); },
                              .hand_over = [this](int fd) { Take(fd); }}) {
    EXPECT_TRUE(connections_.Start());
  }

  void Greet(const std::string& host) {
    Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto from = At(host, 0);
    EXPECT_EQ(bind(client.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), 0);
    const auto to = At("127.0.0.1", sockets_.port());
    EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    send(client.get(), "?", 1, MSG_NOSIGNAL);  // fails if the server has closed the connection already
    clients_.push_back(std::move(client));
  }

  Connections::Greeting Hear() {
    const std::lock_guard lock(mutex_);
    ++greeted_;
    changed_.notify_all();
    return Connections::Greeting::kKnown;
  }

  void Take(int fd) {
    const auto origin = TcpSockets::OriginOf(fd);
    const std::lock_guard lock(mutex_);
    descriptors_.emplace_back(fd);
    taken_.push_back(*origin);
    changed_.notify_all();
  }

  // Waits until `host` has this many accepted connections, or for longer than any turn lasts.
  std::size_t Taken(const std::string& host, std::size_t expected) {
    std::unique_lock lock(mutex_);
    const auto count = [&] {
      return static_cast<std::size_t>(std::ranges::count(taken_, "ipv4:" + host, &Connections::Origin::counted));
    };
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return count() >= expected; });
    return count();
  }

  TcpSockets sockets_;
  std::vector<Descriptor> clients_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t greeted_ = 0;
  std::vector<Descriptor> descriptors_;
  std::vector<Connections::Origin> taken_;
  Connections connections_;
};

class HandshakesTest : public ConnectionsTest {
 protected:
  HandshakesTest() : ConnectionsTest({.per_peer = 64, .total = 64, .acceptors = 1, .handshakes = kHandshakes}) {}
};

class CrowdTest : public ConnectionsTest {
 protected:
  CrowdTest() : ConnectionsTest({.per_peer = 64, .total = 4, .acceptors = 1, .handshakes = 0}) {}

  // Waits until the server has closed the connection.
  static void ExpectEnd(const Descriptor& client) {
    char octet = 0;
    EXPECT_LE(recv(client.get(), &octet, 1, 0), 0);
  }

  static bool IsOpen(const Descriptor& client) {
    char octet = 0;
    return recv(client.get(), &octet, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
};

TEST_F(CrowdTest, OfEqualSourcesTheOneThatKeepsTryingLosesAConnection) {
  for (const auto* host : {"127.0.0.2", "127.0.0.3"}) {
    Greet(host);
    Greet(host);
    ASSERT_EQ(Taken(host, 2), 2U);
  }
  for (int i = 0; i < 3; ++i) {
    Greet("127.0.0.2");
    ExpectEnd(clients_.back());
  }
  Greet("127.0.0.4");
  EXPECT_EQ(Taken("127.0.0.4", 1), 1U);
  ExpectEnd(clients_[1]);
  EXPECT_TRUE(IsOpen(clients_[0]));
  EXPECT_TRUE(IsOpen(clients_[2]));
  EXPECT_TRUE(IsOpen(clients_[3]));  // the newest connection
}

// The descriptor that gRPC got stays open.
TEST_F(CrowdTest, AConnectionThatItsPeerClosedGivesItsPlaceToTheNextOfThePeer) {
  for (const auto* host : {"127.0.0.2", "127.0.0.3"}) {
    Greet(host);
    Greet(host);
    ASSERT_EQ(Taken(host, 2), 2U);
  }
  clients_[0] = Descriptor();
  Greet("127.0.0.2");
  EXPECT_EQ(Taken("127.0.0.2", 3), 3U);
  for (const auto i : {1, 2, 3, 4}) {
    EXPECT_TRUE(IsOpen(clients_[i])) << i;
  }
}

TEST_F(HandshakesTest, OneSourceRunsAnEighthOfTheHandshakesAtOnce) {
  for (int i = 0; i < 6; ++i) {
    Greet("127.0.0.2");
  }
  EXPECT_EQ(Taken("127.0.0.2", 2), 2U);
  Greet("127.0.0.3");  // its greeting is handled after all the others
  EXPECT_EQ(Taken("127.0.0.3", 1), 1U);
  EXPECT_EQ(Taken("127.0.0.2", 2), 2U);
}

TEST_F(HandshakesTest, AHandshakeThatACallProvesCompleteFreesItsPlace) {
  for (int i = 0; i < 6; ++i) {
    Greet("127.0.0.2");
  }
  for (std::size_t i = 2; i < 6; ++i) {
    ASSERT_EQ(Taken("127.0.0.2", i), i);
    std::string peer;
    {
      const std::lock_guard lock(mutex_);
      peer = taken_.at(i - 2).peer;
    }
    connections_.CompleteHandshake(peer);
  }
  EXPECT_EQ(Taken("127.0.0.2", 6), 6U);
}

TEST_F(HandshakesTest, TheTotalIsLimitedAndTheSourceWithFewestIsNext) {
  for (int i = 0; i < 8; ++i) {
    const auto host = "127.0.0." + std::to_string(2 + i);
    Greet(host);
    Greet(host);
    EXPECT_EQ(Taken(host, 2), 2U);
  }
  Greet("127.0.0.2");
  Greet("127.0.1.2");
  std::string first;
  {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), [this] { return greeted_ >= kHandshakes + 2; }));
    first = taken_.front().peer;
  }
  connections_.CompleteHandshake(first);  // 127.0.0.2 then has one, and 127.0.1.2 none
  EXPECT_EQ(Taken("127.0.1.2", 1), 1U);
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(taken_.size(), kHandshakes + 1);
}

TEST_F(HandshakesTest, AFailedHandshakeOccupiesItsPlaceForAWhile) {
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    Greet("127.0.0.2");
  }
  ASSERT_EQ(Taken("127.0.0.2", 2), 2U);
  clients_.erase(clients_.begin(), clients_.begin() + 2);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& one : descriptors_) {  // gRPC does this when a handshake fails
      shutdown(one.get(), SHUT_RDWR);
    }
    descriptors_.clear();
  }
  EXPECT_EQ(Taken("127.0.0.2", 3), 3U);
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(took, HandshakeTurns::kFailureLimit);
  EXPECT_LT(took, HandshakeTurns::kHandshakeLimit);
}

}  // namespace
}  // namespace assertion::service
