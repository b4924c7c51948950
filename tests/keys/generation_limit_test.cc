#include "keys/generation_limit.h"

#include <gtest/gtest.h>

namespace assertion {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr GenerationLimit::Instant kStart{std::chrono::hours(9)};
constexpr KeyLimits kLimits{.per_client = 8, .generations_per_hour = 3, .client_generations_per_hour = 2};

TEST(GenerationLimit, OfOneClientAndOfAll) {
  GenerationLimit limit;
  EXPECT_TRUE(limit.Take("a", kLimits, kStart));
  EXPECT_TRUE(limit.Take("a", kLimits, kStart + minutes(10)));
  const auto client = limit.Take("a", kLimits, kStart + minutes(20));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Code::kResourceExhausted);
  EXPECT_EQ(client.error().retry_delay, minutes(40));
  EXPECT_NE(client.error().message.find("2 keys of client 'a'"), std::string::npos) << client.error().message;
  EXPECT_NE(client.error().message.find("client_generations_per_hour"), std::string::npos) << client.error().message;
  EXPECT_TRUE(limit.Take("b", kLimits, kStart + minutes(20))) << "what was refused did not count";
  const auto all = limit.Take("c", kLimits, kStart + minutes(30));
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().retry_delay, minutes(30));
  EXPECT_NE(all.error().message.find("all clients"), std::string::npos) << all.error().message;
}

TEST(GenerationLimit, WhatWasNotMadeAfterAllDoesNotCount) {
  GenerationLimit limit;
  EXPECT_TRUE(limit.Take("a", kLimits, kStart));
  EXPECT_TRUE(limit.Take("a", kLimits, kStart));
  limit.GiveBack("b");
  EXPECT_FALSE(limit.Take("a", kLimits, kStart));
  limit.GiveBack("a");
  EXPECT_TRUE(limit.Take("a", kLimits, kStart));
  EXPECT_FALSE(limit.Take("a", kLimits, kStart));
}

TEST(GenerationLimit, AnHourLaterThereIsRoomAgain) {
  GenerationLimit limit;
  ASSERT_TRUE(limit.Take("a", kLimits, kStart));
  ASSERT_TRUE(limit.Take("a", kLimits, kStart));
  EXPECT_FALSE(limit.Take("a", kLimits, kStart + minutes(60) - seconds(1)));
  EXPECT_TRUE(limit.Take("a", kLimits, kStart + minutes(60)));
  EXPECT_TRUE(limit.Take("a", kLimits, kStart + minutes(60)));
  EXPECT_FALSE(limit.Take("a", kLimits, kStart + minutes(60)));
}

TEST(GenerationLimit, AReloadCountsWithWhatWasMadeBefore) {
  GenerationLimit limit;
  ASSERT_TRUE(limit.Take("a", kLimits, kStart));
  ASSERT_TRUE(limit.Take("a", kLimits, kStart + minutes(5)));
  auto reloaded = kLimits;
  reloaded.client_generations_per_hour = 3;
  EXPECT_TRUE(limit.Take("a", reloaded, kStart + minutes(6)));
  reloaded.client_generations_per_hour = 1;
  EXPECT_EQ(limit.Take("a", reloaded, kStart + minutes(6)).error().retry_delay, minutes(60));
}

}  // namespace
}  // namespace assertion
