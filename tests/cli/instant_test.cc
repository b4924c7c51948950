#include "cli/instant.h"

#include <gtest/gtest.h>

#include "assertion/key_record.h"

namespace assertion::cli {
namespace {

using std::chrono::seconds;

constexpr Time kNow{seconds(1'800'000'000)};

TEST(Instant, IsReadInEveryForm) {
  EXPECT_EQ(ParseInstant("now", kNow), kNow);
  EXPECT_EQ(ParseInstant("never", kNow), kNever);
  EXPECT_EQ(ParseInstant("+0s", kNow), kNow);
  EXPECT_EQ(ParseInstant("+90s", kNow), kNow + seconds(90));
  EXPECT_EQ(ParseInstant("+15m", kNow), kNow + seconds(900));
  EXPECT_EQ(ParseInstant("+2h", kNow), kNow + seconds(7200));
  EXPECT_EQ(ParseInstant("+3d", kNow), kNow + seconds(3 * 86400));
  EXPECT_EQ(ParseInstant("2027-01-15T08:00:00Z", kNow), kNow);
  EXPECT_EQ(ParseInstant("2028-02-29T23:59:59Z", kNow), Time(seconds(1'835'481'599)));
  EXPECT_EQ(ParseInstant("9999-12-31T23:59:59Z", kNow), kNever);
}

TEST(Instant, AnythingElseIsRefused) {
  for (const auto* text : {"",
                           "Now",
                           "15m",
                           "+15",
                           "+m",
                           "+d",
                           "+1w",
                           "+-1s",
                           "-15m",
                           "+4294967295d",
                           "2027-01-15",
                           "2027-01-15T08:00:00",
                           "2027-01-15T08:00:00+01:00",
                           "2027-01-15 08:00:00Z",
                           "2027-02-29T08:00:00Z",
                           "2027-13-01T08:00:00Z",
                           "2027-01-15T24:00:00Z",
                           "2027-01-15T08:60:00Z",
                           "2027-01-15T08:00:60Z",
                           "2027-01-15T08:00:00Z "}) {
    const auto time = ParseInstant(text, kNow);
    ASSERT_FALSE(time) << text;
    EXPECT_EQ(time.error().code, Code::kInvalidArgument) << text;
  }
}

TEST(Instant, OfThePastIsASpanBeforeNowOrATime) {
  EXPECT_EQ(ParsePastInstant("now", kNow, EdgeOfDay::kBegin), kNow);
  EXPECT_EQ(ParsePastInstant("-90s", kNow, EdgeOfDay::kBegin), kNow - seconds(90));
  EXPECT_EQ(ParsePastInstant("-15m", kNow, EdgeOfDay::kBegin), kNow - seconds(900));
  EXPECT_EQ(ParsePastInstant("-2h", kNow, EdgeOfDay::kBegin), kNow - seconds(7200));
  EXPECT_EQ(ParsePastInstant("-1d", kNow, EdgeOfDay::kBegin), kNow - seconds(86400));
  EXPECT_LT(ParsePastInstant("-4294967295d", kNow, EdgeOfDay::kBegin).value(), Time());
  EXPECT_EQ(ParsePastInstant("2027-01-15T08:00:00Z", kNow, EdgeOfDay::kBegin), kNow);
  EXPECT_EQ(ParsePastInstant("2027-01-15", kNow, EdgeOfDay::kBegin), kNow - seconds(8 * 3600));
  EXPECT_EQ(ParsePastInstant("2027-01-15", kNow, EdgeOfDay::kEnd), kNow + seconds(16 * 3600));
  for (const auto* text :
       {"", "2027-02-29", "2027-1-15", "1h", "+1h", "-", "-1", "--1h", "-+1h", "-1w", "1h ago", "never", "yesterday"}) {
    const auto time = ParsePastInstant(text, kNow, EdgeOfDay::kBegin);
    ASSERT_FALSE(time) << text;
    EXPECT_TRUE(time.error().message.contains("a span before now such as -90s")) << time.error().message;
  }
}

TEST(Instant, IsWrittenAsItIsRead) {
  EXPECT_EQ(InstantText(kNow), "2027-01-15T08:00:00Z");
  EXPECT_EQ(InstantText(kNever), "never");
}

}  // namespace
}  // namespace assertion::cli
