#include "cli/audit/filter.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace assertion::cli {
namespace {

constexpr const char* kKid = "bNtYhVrB3k5m1b2c3d4e5f6g7h8i9j0kAlBmCnDoEpF";

WantedLines With(std::string WantedLines::* member, const std::string& value) {
  WantedLines wanted;
  wanted.*member = value;
  return wanted;
}

audit::Line LineOf(nlohmann::json members) {
  members.emplace("time", "2026-11-30T07:30:12.123456Z");
  return {.sequence = 1, .prev = "", .event = "", .hash = "", .members = std::move(members)};
}

bool Lets(const WantedLines& wanted, const nlohmann::json& members) {
  auto filter = LineFilter::New(wanted);
  EXPECT_TRUE(filter) << filter.error().message;
  return filter && filter->Lets(LineOf(members));
}

std::string RefusalOf(const WantedLines& wanted) {
  const auto filter = LineFilter::New(wanted);
  return filter ? "" : filter.error().message;
}

TEST(LineFilter, LetsAllLinesThroughWhenNothingIsWanted) { EXPECT_TRUE(Lets({}, {{"event", "Start"}})); }

TEST(LineFilter, TakesTheFirstSixCharactersOfAKid) {
  EXPECT_TRUE(Lets(With(&WantedLines::kid, kKid), {{"kid", kKid}}));
  EXPECT_TRUE(Lets(With(&WantedLines::kid, "bNtYhV"), {{"kid", kKid}}));
  EXPECT_FALSE(Lets(With(&WantedLines::kid, "bNtYh"), {{"kid", kKid}})) << "too short";
  EXPECT_TRUE(Lets(With(&WantedLines::kid, "none"), {{"kid", "none"}})) << "what a caller typed";
  EXPECT_FALSE(Lets(With(&WantedLines::kid, "bNtYhVrX"), {{"kid", kKid}}));
  EXPECT_FALSE(Lets(With(&WantedLines::kid, "bNtYhV"), {{"event", "Start"}}));
}

TEST(LineFilter, KnowsWhetherLinesAreOfSeveralKeys) {
  auto filter = LineFilter::New(With(&WantedLines::kid, "bNtYhV"));
  ASSERT_TRUE(filter);
  for (const auto* kid : {kKid, kKid, "bNtYhVzz", "another"}) {
    filter->Lets(LineOf({{"kid", kid}}));
  }
  EXPECT_EQ(filter->kids(), (std::set<std::string>{kKid, "bNtYhVzz"}));
}

TEST(LineFilter, FindsAnApprovalByWhatItApproves) {
  const auto wanted = With(&WantedLines::event, "RevokeKey");
  EXPECT_TRUE(Lets(wanted, {{"event", "RevokeKey"}}));
  EXPECT_TRUE(Lets(wanted, {{"event", "ApproveChange"}, {"method", "RevokeKey"}}));
  EXPECT_FALSE(Lets(wanted, {{"event", "ApproveChange"}, {"method", "RotateKey"}}));
  EXPECT_FALSE(Lets(wanted, {{"event", "WithdrawChange"}, {"method", "RevokeKey"}})) << "no key was revoked";
}

TEST(LineFilter, RefusesWordsThatNoLineHas) {
  EXPECT_EQ(RefusalOf(With(&WantedLines::event, "CreateAsertion")),
            "--event: no line can have \"CreateAsertion\"; did you mean \"CreateAssertion\"?");
  EXPECT_EQ(RefusalOf(With(&WantedLines::event, "reload")),
            "--event: no line can have \"reload\"; did you mean \"Reload\"?");
  EXPECT_EQ(RefusalOf(With(&WantedLines::outcome, "ok")), "--outcome: no line can have \"ok\"; did you mean \"OK\"?");
  EXPECT_EQ(RefusalOf(With(&WantedLines::outcome, "FAILED")), "");
}

TEST(LineFilter, ReadsAUserAsItsUid) {
  EXPECT_TRUE(Lets(With(&WantedLines::caller, "user:root"), {{"caller", "uid:0"}}));
  EXPECT_TRUE(RefusalOf(With(&WantedLines::caller, "user:no-such-user-here")).starts_with("--caller: user: "));
}

TEST(LineFilter, TakesAWholeDay) {
  for (const auto* since : {"2026-11-30", "2026-11-30T07:30:12Z"}) {
    EXPECT_TRUE(Lets(With(&WantedLines::since, since), {})) << since;
  }
  auto day = With(&WantedLines::since, "2026-11-30");
  day.until = "2026-11-30";
  EXPECT_TRUE(Lets(day, {}));
  EXPECT_FALSE(Lets(With(&WantedLines::since, "2026-12-01"), {}));
  EXPECT_FALSE(Lets(With(&WantedLines::until, "2026-11-29"), {}));
  EXPECT_FALSE(Lets(With(&WantedLines::until, "2026-11-30T07:30:12Z"), {}));
  EXPECT_TRUE(
      RefusalOf(With(&WantedLines::since, "2026-11-31")).starts_with("--since: '2026-11-31' is none of: now, "));
}

TEST(LineFilter, LetsOnlyLinesAfterASequenceThrough) {
  for (const auto& [after, lets] : {std::pair{std::uint64_t{0}, true}, {1, false}, {2, false}}) {
    WantedLines wanted;
    wanted.after_sequence = after;
    EXPECT_EQ(Lets(wanted, {}), lets) << after;
  }
}

TEST(LineFilter, KnowsTheEventsOfAllServices) {
  const auto names = EventNames();
  for (const auto* name : {"CreateAssertion", "GetAccessToken", "RevokeKey", "Sign", "Reload", "LedgerVersion"}) {
    EXPECT_NE(std::ranges::find(names, name), names.end()) << name;
  }
}

}  // namespace
}  // namespace assertion::cli
