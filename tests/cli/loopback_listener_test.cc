#include "cli/loopback_listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace assertion::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LoopbackListenerTest : public testing::Test {
 protected:
  Descriptor Connect() const {
    Descriptor made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(listener_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return made;
  }

  void Ask(const Descriptor& connection, std::string_view path) const {
    const auto text = "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + listener_.authority() + "\r\n\r\n";
    EXPECT_EQ(send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  std::string NextPath(milliseconds patience = seconds(10)) {
    const auto request = listener_.Next(LoopbackListener::Steady::now() + patience);
    return request ? request->path : "";
  }

  LoopbackListener listener_ = *LoopbackListener::Open(0, 0);
};

TEST_F(LoopbackListenerTest, AnswersTheOldestWhileOthersAskWithoutEnd) {
  const auto browser = Connect();
  std::vector<Descriptor> flood;
  flood.push_back(Connect());
  EXPECT_EQ(NextPath(milliseconds(200)), "") << "both are accepted and silent";
  Ask(browser, "/browser");
  Ask(flood.back(), "/flood");
  std::string path;
  for (int i = 0; i < 20 && path != "/browser"; ++i) {
    flood.push_back(Connect());
    Ask(flood.back(), "/flood");
    path = NextPath();
  }
  EXPECT_EQ(path, "/browser");
}

TEST_F(LoopbackListenerTest, IsNotKeptByThoseThatOnlyHoldConnections) {
  std::vector<Descriptor> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(Connect());
  }
  const auto browser = Connect();
  Ask(browser, "/browser");
  EXPECT_EQ(NextPath(), "/browser");
}

TEST_F(LoopbackListenerTest, IsGivenUpAtOnceWhileItWaitsAndBefore) {
  std::stop_source source;
  const std::jthread other([&source] { source.request_stop(); });
  for (int i = 0; i < 2; ++i) {
    const auto began = LoopbackListener::Steady::now();
    const auto request = listener_.Next(began + seconds(60), source.get_token());
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().code, Code::kCancelled);
    EXPECT_LT(LoopbackListener::Steady::now() - began, seconds(20));
  }
}

// A connection that this end closed first keeps the port for a minute (TIME_WAIT).
TEST_F(LoopbackListenerTest, OpensAgainOnThePortOfAnAnsweredRequest) {
  const auto browser = Connect();
  Ask(browser, "/browser");
  auto request = listener_.Next(LoopbackListener::Steady::now() + seconds(10));
  ASSERT_TRUE(request);
  Answer(request->browser, {.status = "200 OK", .type = "text/plain", .body = "seen\n"});
  std::string answer(4096, '\0');
  while (recv(browser.get(), answer.data(), answer.size(), 0) > 0) {
  }
  request->browser = Descriptor();
  const auto port = listener_.port();
  listener_.Close();
  const auto again = LoopbackListener::Open(port, 0);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_FALSE(LoopbackListener::Open(port, 0)) << "two hear one port";
}

// A browser may try [::1] first.
TEST_F(LoopbackListenerTest, HearsLocalhostUnlessAnotherProgramHasThatPortOfTheOtherAddress) {
  const Descriptor other(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(listener_.port());
  address.sin6_addr = in6addr_loopback;
  const auto* const place = reinterpret_cast<const sockaddr*>(&address);
  if (bind(other.get(), place, sizeof address) == 0) {
    ASSERT_EQ(listen(other.get(), 1), 0);
    EXPECT_FALSE(listener_.HearLocalhost());
  }
  auto second = *LoopbackListener::Open(0, 0);
  ASSERT_TRUE(second.HearLocalhost());
  address.sin6_port = htons(second.port());
  const Descriptor late(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  constexpr int kOn = 1;
  setsockopt(late.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
  EXPECT_NE(bind(late.get(), place, sizeof address), 0) << "the port is free for another";
}

}  // namespace
}  // namespace assertion::cli
