#include "service/strangers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace assertion::service {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uid_t kListed = 1000;
constexpr uid_t kStranger = 1001;
constexpr uid_t kOther = 1002;
constexpr std::size_t kEach = 8;
constexpr std::size_t kBurst = 4 * kEach;
constexpr Strangers::Instant kStart{seconds(1000)};

class StrangersTest : public testing::Test {
 protected:
  Strangers strangers_{kEach, [](const std::string& peer) { return peer == "uid:1000"; }};
};

TEST_F(StrangersTest, ThatConnectTooOftenAreNotLetInAndOthersAre) {
  for (std::size_t i = 0; i < kBurst; ++i) {
    EXPECT_TRUE(strangers_.LetIn(kStranger, kStart)) << i;
  }
  EXPECT_FALSE(strangers_.LetIn(kStranger, kStart));
  EXPECT_TRUE(strangers_.LetIn(kOther, kStart));
  EXPECT_TRUE(strangers_.LetIn(kStranger, kStart + seconds(1)));
}

// Each instant is a slice of its own.
TEST_F(StrangersTest, ThatTakeTooMuchTimeAreRefusedForAWhile) {
  auto now = kStart;
  std::size_t slices = 0;
  while (strangers_.Charge(kStranger, now)) {
    ASSERT_LT(++slices, 1000U);
    now += milliseconds(10);
  }
  EXPECT_GE(slices, 50U);
  EXPECT_LT(slices, 60U);
  EXPECT_FALSE(strangers_.LetIn(kStranger, now));
  EXPECT_FALSE(strangers_.Charge(kStranger, now + seconds(9)));
  EXPECT_TRUE(strangers_.LetIn(kOther, now));
  EXPECT_TRUE(strangers_.Charge(kOther, now));
  EXPECT_TRUE(strangers_.LetIn(kStranger, now + seconds(11)));
  EXPECT_TRUE(strangers_.Charge(kStranger, now + seconds(11)));
}

TEST_F(StrangersTest, ThatWorkWithinOneSliceTakeOne) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(strangers_.Charge(kStranger, kStart + milliseconds(i % 2)));
  }
}

TEST_F(StrangersTest, AreNotThoseWhomTheConfigurationLists) {
  auto now = kStart;
  for (int i = 0; i < 1000; ++i) {
    now += milliseconds(10);
    EXPECT_TRUE(strangers_.LetIn(kListed, now));
    EXPECT_TRUE(strangers_.Charge(kListed, now));
  }
}

}  // namespace
}  // namespace assertion::service
