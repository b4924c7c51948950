#include "cli/console/time_line.h"

#include <gtest/gtest.h>

#include <chrono>
#include <tuple>

#include "assertion/key_record.h"
#include "cli/instant.h"

namespace assertion::cli {
namespace {

using namespace std::chrono_literals;
using Bars = std::vector<std::tuple<std::string, int, int>>;

const Time kNow{1'800'000'000s};
// Of 1000 s: a place is a second.
const TimeWindow kWindow{.from = kNow, .until = kNow + 1000s};

v1::Key KeyOf(Time publish_from, Time sign_from, Time sign_until, Time publish_until) {
  v1::Key key;
  *key.mutable_publish_from() = ToTimestamp(publish_from);
  *key.mutable_sign_from() = ToTimestamp(sign_from);
  *key.mutable_sign_until() = ToTimestamp(sign_until);
  *key.mutable_publish_until() = ToTimestamp(publish_until);
  return key;
}

Bars Found(const v1::Key& key) {
  Bars found;
  for (const auto& bar : BarsOf(key, kWindow)) {
    found.emplace_back(bar.doing, bar.from, bar.until);
  }
  return found;
}

TEST(TimeLine, AKeyIsPublishedThenSignsThenRetires) {
  EXPECT_EQ(Found(KeyOf(kNow + 100s, kNow + 200s, kNow + 600s, kNow + 700s)),
            (Bars{{"published", 100, 200}, {"signing", 200, 600}, {"retiring", 600, 700}}));
}

TEST(TimeLine, WhatIsOutsideOfTheWindowIsCut) {
  EXPECT_EQ(Found(KeyOf(kNow - 500s, kNow - 100s, kNever, kNever)), (Bars{{"signing", 0, 1000}}));
  EXPECT_EQ(Found(KeyOf(kNow - 500s, kNow - 400s, kNow - 300s, kNow - 1s)), Bars{});
  EXPECT_EQ(Found(KeyOf(kNever, kNever, kNever, kNever)), Bars{}) << "staged";
}

TEST(TimeLine, AKeyThatWasRevokedStopsSigningThen) {
  EXPECT_EQ(Found(KeyOf(kNow + 100s, kNow + 200s, kNever, kNow + 300s)),
            (Bars{{"published", 100, 200}, {"signing", 200, 300}}));
  EXPECT_EQ(Found(KeyOf(kNow + 100s, kNever, kNever, kNow + 300s)), (Bars{{"published", 100, 300}}));
}

TEST(TimeLine, AShortTimeIsSeen) {
  const TimeWindow year{.from = kNow, .until = kNow + std::chrono::days(500)};
  const auto bars = BarsOf(KeyOf(kNow + 10s, kNow + 20s, kNever, kNever), year);
  ASSERT_EQ(bars.size(), 2);
  EXPECT_EQ(bars[0].until - bars[0].from, 1);
}

TEST(TimeLine, NowIsAQuarterInEveryWindow) {
  for (const auto* span : {"day", "month", "year", "nonsense", ""}) {
    EXPECT_EQ(PlaceOf(kNow, WindowOf(span, kNow)), 250) << span;
  }
  EXPECT_EQ(PlaceOf(kNow - 1s, kWindow), std::nullopt);
  EXPECT_EQ(PlaceOf(kNow + 1001s, kWindow), std::nullopt);
}

TEST(TimeLine, MarksTheCertificatesEndAndEscapesItsDescription) {
  auto key = KeyOf(kNow, kNow, kNever, kNever);
  EXPECT_EQ(TimeLine(key, kWindow, kNow, "").find("class=\"end\""), std::string::npos);
  key.set_x5t_s256("x");
  *key.mutable_not_after() = ToTimestamp(kNow + 500s);
  const auto svg = TimeLine(key, kWindow, kNow, "\"><script>");
  EXPECT_NE(svg.find("<rect class=\"end\" x=\"498\""), std::string::npos) << svg;
  EXPECT_EQ(svg.find("<script>"), std::string::npos);
}

}  // namespace
}  // namespace assertion::cli
