#include "cli/console/session.h"

#include <gtest/gtest.h>

#include <set>

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
  EXPECT_FALSE(ConsoleSession::New([](auto) { return false; }, 30min, {}));
}

}  // namespace
}  // namespace assertion::cli
