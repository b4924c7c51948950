#include "cli/console/session.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>

#include "cli/loopback_listener.h"
#include "x509/openssl.h"

namespace assertion::cli {
namespace {

using namespace std::chrono_literals;

class ConsoleSessionTest : public testing::Test {
 protected:
  bool Continues(const std::string& cookies) { return session_.Continue(cookies, "c", now_); }
  std::string Cookie() const { return "c=" + session_.cookie(); }

  ConsoleSession::Moment now_{1000h};
  ConsoleSession session_ = *ConsoleSession::New(x509::RandomOctets, 30min, now_);
};

TEST_F(ConsoleSessionTest, ItsSecretsHave256BitsAndDiffer) {
  const std::set<std::string> secrets = {session_.entrance(), session_.cookie(), session_.place(), session_.form()};
  EXPECT_EQ(secrets.size(), 4);
  for (const auto& secret : secrets) {
    EXPECT_EQ(secret.size(), 43);
  }
}

TEST_F(ConsoleSessionTest, ItsHostIsALoopbackAddressThatNobodyForesees) {
  std::set<std::string> hosts;
  for (int i = 0; i < 100; ++i) {
    const auto host = ConsoleSession::New(x509::RandomOctets, 30min, now_)->host();
    in_addr address{};
    ASSERT_EQ(inet_pton(AF_INET, host.c_str(), &address), 1) << host;
    EXPECT_TRUE(host.starts_with("127.")) << host;
    EXPECT_TRUE(LoopbackListener::Open(0, 0, host)) << host;
    hosts.insert(host);
  }
  EXPECT_GT(hosts.size(), 90U);
  for (const int least_or_most : {0, 255}) {
    const auto random = [least_or_most](std::span<unsigned char> octets) {
      std::ranges::fill(octets, static_cast<unsigned char>(least_or_most));
      return true;
    };
    const auto host = ConsoleSession::New(random, 30min, now_)->host();
    EXPECT_TRUE(LoopbackListener::Open(0, 0, host)) << host;
  }
}

TEST_F(ConsoleSessionTest, TheAddressIsTakenOnce) {
  EXPECT_FALSE(session_.Enter("", now_));
  EXPECT_FALSE(session_.Enter(session_.cookie(), now_));
  EXPECT_FALSE(Continues(Cookie())) << "nobody has entered";
  EXPECT_TRUE(session_.Enter(session_.entrance(), now_));
  EXPECT_FALSE(session_.Enter(session_.entrance(), now_));
}

TEST_F(ConsoleSessionTest, AnAddressThatNobodyOpenedGoesStale) {
  EXPECT_FALSE(session_.Enter(session_.entrance(), now_ + 30min));
}

TEST_F(ConsoleSessionTest, OnlyItsCookieContinuesIt) {
  ASSERT_TRUE(session_.Enter(session_.entrance(), now_));
  EXPECT_TRUE(Continues(Cookie()));
  EXPECT_TRUE(Continues("a=b; c=planted; " + Cookie() + "; d=e"));
  for (const auto& wrong : {std::string(), "c=" + session_.entrance(), session_.cookie(), "C=" + session_.cookie(),
                            Cookie() + "x", std::string("c="), std::string("; ;c")}) {
    EXPECT_FALSE(Continues(wrong)) << wrong;
  }
}

TEST_F(ConsoleSessionTest, EndsWhenIdleAndAfterEightHours) {
  ASSERT_TRUE(session_.Enter(session_.entrance(), now_));
  const auto entered = now_;
  now_ += 29min;
  EXPECT_FALSE(Continues("c=wrong")) << "does not put off the end";
  EXPECT_EQ(session_.end(), entered + 30min);
  for (; now_ < entered + 8h; now_ += 29min) {
    EXPECT_TRUE(Continues(Cookie()));
  }
  EXPECT_EQ(session_.end(), entered + 8h);
  EXPECT_FALSE(Continues(Cookie()));
}

TEST_F(ConsoleSessionTest, AFormNeedsItsOwnSecret) {
  EXPECT_TRUE(session_.IsForm(session_.form()));
  EXPECT_FALSE(session_.IsForm(""));
  EXPECT_FALSE(session_.IsForm(session_.cookie()));
}

TEST(ConsoleSession, IsNotMadeWithoutRandomness) {
  for (int works = 0; works < 5; ++works) {  // four secrets and the host
    int asked = 0;
    EXPECT_FALSE(ConsoleSession::New([&](auto) { return asked++ < works; }, 30min, {})) << works;
  }
}

}  // namespace
}  // namespace assertion::cli
