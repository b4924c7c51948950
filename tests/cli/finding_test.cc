#include "cli/finding.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

const std::vector<Finding> kFindings = {
    {.name = "clock", .ok = true, .text = "right"},
    {.name = "client a", .ok = true, .text = "weak", .kid = "k1", .warns = true},
    {.name = "client a", .ok = false, .text = "key k1 is broken", .kid = "k1"},
};

TEST(FindingTest, TheSummaryCountsWrongWarningsAndOk) {
  EXPECT_EQ(SummaryText(kFindings), "1 wrong, 1 warning, 1 ok");
  EXPECT_EQ(SummaryText({kFindings.front()}), "1 ok");
}

TEST(FindingTest, EachLineIsLabelledAndNamesItsKeyOnce) {
  EXPECT_EQ(FindingsText(kFindings),
            "ok     clock: right\nwarn   client a: key k1: weak\nwrong  client a: key k1 is broken\n");
  EXPECT_EQ(FindingsText(kFindings, Detail::kFaults),
            "warn   client a: key k1: weak\nwrong  client a: key k1 is broken\n");
}

TEST(FindingTest, FindingsOfAGroupStandTogetherUnderItsHeading) {
  auto findings = kFindings;
  findings[0].group = "machine";
  findings[1].group = "client a";
  findings[2].group = "machine";
  EXPECT_EQ(FindingsText(findings),
            "\nmachine\nok     clock: right\nwrong  client a: key k1 is broken\n"
            "\nclient a\nwarn   client a: key k1: weak\n");
  findings[2].group = "client a";
  EXPECT_EQ(FindingsText(findings, Detail::kFaults),
            "\nclient a\nwarn   client a: key k1: weak\nwrong  client a: key k1 is broken\n");
  EXPECT_EQ(FindingsJson(findings)["findings"][0].dump(),
            R"({"name":"clock","ok":true,"text":"right","group":"machine"})");
}

TEST(FindingTest, AWarningIsWellInJson) {
  const auto json = FindingsJson(kFindings);
  EXPECT_FALSE(json["ok"]);
  EXPECT_EQ(json["findings"][1].dump(), R"({"name":"client a","ok":true,"text":"weak","kid":"k1","warning":true})");
  EXPECT_EQ(json["findings"][0].dump(), R"({"name":"clock","ok":true,"text":"right"})");
}

}  // namespace
}  // namespace assertion::cli
