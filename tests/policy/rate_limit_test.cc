#include "policy/rate_limit.h"

#include <gtest/gtest.h>

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr RateLimit::Instant kStart{seconds(1000)};

TEST(RateLimit, ABurstAndThenTheRate) {
  RateLimit limit({.per_second = 10, .burst = 3});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limit.Take("a", kStart));
  }
  const auto refused = limit.Take("a", kStart);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().retry_delay, milliseconds(100));
  EXPECT_FALSE(limit.Take("a", kStart + milliseconds(99)));
  EXPECT_TRUE(limit.Take("a", kStart + milliseconds(100))) << "a refusal costs nothing";
  EXPECT_FALSE(limit.Take("a", kStart + milliseconds(101)));
}

TEST(RateLimit, NoMoreThanABurstIsSaved) {
  RateLimit limit({.per_second = 10, .burst = 2});
  EXPECT_TRUE(limit.Take("a", kStart));
  EXPECT_TRUE(limit.Take("a", kStart + seconds(60)));
  EXPECT_TRUE(limit.Take("a", kStart + seconds(60)));
  EXPECT_FALSE(limit.Take("a", kStart + seconds(60)));
}

TEST(RateLimit, OneCallersIsNotAnothers) {
  RateLimit limit({.per_second = 1, .burst = 1});
  EXPECT_TRUE(limit.Take("a", kStart));
  EXPECT_FALSE(limit.Take("a", kStart));
  EXPECT_TRUE(limit.Take("b", kStart));
}

TEST(RateLimit, AClockThatStepsBackFillsNothing) {
  RateLimit limit({.per_second = 1, .burst = 1});
  EXPECT_TRUE(limit.Take("a", kStart));
  EXPECT_FALSE(limit.Take("a", kStart - seconds(60)));
  EXPECT_FALSE(limit.Take("a", kStart));
}

TEST(RateLimit, WhoIsIdleIsForgotten) {
  RateLimit limit({.per_second = 1, .burst = 1});
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(limit.Take(std::to_string(i), kStart + seconds(i)));
  }
  EXPECT_LE(limit.size(), 1024U);
}

}  // namespace
}  // namespace assertion
