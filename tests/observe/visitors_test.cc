#include "observe/visitors.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "assertion/descriptor.h"

namespace assertion {
namespace {

sockaddr_in Loopback(const std::string& host, in_port_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = port;
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return address;
}

const sockaddr* Plain(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

class VisitorsTest : public testing::Test {
 protected:
  VisitorsTest() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    address_ = Loopback("127.0.0.1", 0);
    EXPECT_EQ(bind(listener_.get(), Plain(address_), sizeof address_), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    socklen_t size = sizeof address_;
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address_), &size), 0);
  }

  ~VisitorsTest() override {
    for (const int socket : admitted_) {
      visitors_.Close(socket);
    }
  }

  // The server's socket of a connection from this address; -1: it was not let in.
  int Come(const std::string& host) {
    Descriptor caller(socket(AF_INET, SOCK_STREAM, 0));
    const auto from = Loopback(host, 0);
    EXPECT_EQ(bind(caller.get(), Plain(from), sizeof from), 0);
    EXPECT_EQ(connect(caller.get(), Plain(address_), sizeof address_), 0);
    const int accepted = accept(listener_.get(), nullptr, nullptr);
    EXPECT_GE(accepted, 0);
    callers_.push_back(std::move(caller));
    if (!visitors_.Admit(accepted)) {
      close(accepted);
      return -1;
    }
    admitted_.push_back(accepted);
    return accepted;
  }

  std::size_t Shut() const {
    std::size_t shut = 0;
    for (const int socket : admitted_) {
      shut += visitors_.IsShut(socket) ? 1 : 0;
    }
    return shut;
  }

  Visitors visitors_;
  std::vector<int> admitted_;

 private:
  Descriptor listener_;
  sockaddr_in address_{};
  std::vector<Descriptor> callers_;
};

TEST_F(VisitorsTest, TheOldestOfTheAddressWithMostMakesRoom) {
  const int modest = Come("127.0.0.3");
  while (admitted_.size() < Visitors::kMost) {
    Come("127.0.0.2");
  }
  ASSERT_EQ(Shut(), 0);
  ASSERT_GE(Come("127.0.0.4"), 0);
  EXPECT_TRUE(visitors_.IsShut(admitted_[1]));
  ASSERT_GE(Come("127.0.0.2"), 0);
  EXPECT_TRUE(visitors_.IsShut(admitted_[2]));
  EXPECT_FALSE(visitors_.IsShut(modest));
  EXPECT_EQ(Shut(), 2);
  char octet = 0;
  EXPECT_EQ(recv(admitted_[1], &octet, 1, MSG_DONTWAIT), 0);  // the thread that waits for it wakes
}

TEST_F(VisitorsTest, AnAddressThatDisplacesItselfLeavesRoomForOthers) {
  while (Come("127.0.0.2") >= 0) {
    ASSERT_LE(admitted_.size(), Visitors::kMost + Visitors::kEnding);
  }
  EXPECT_EQ(Shut(), Visitors::kEnding / 2);
  EXPECT_GE(Come("127.0.0.3"), 0);
  while (Come("127.0.0.3") >= 0 || Come("127.0.0.4") >= 0) {
    ASSERT_LE(admitted_.size(), Visitors::kMost + Visitors::kEnding);
  }
  // Those that have gone leave their places.
  std::erase_if(admitted_, [&](int socket) {
    const bool shut = visitors_.IsShut(socket);
    if (shut) {
      visitors_.Close(socket);
    }
    return shut;
  });
  EXPECT_EQ(admitted_.size(), Visitors::kMost);
  EXPECT_GE(Come("127.0.0.2"), 0);
}

}  // namespace
}  // namespace assertion
