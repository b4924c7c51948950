#include "keys/change_summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace assertion {
namespace {

std::string SummaryOfName(std::string_view common_name) {
  return SummaryOf(KeyGeneration{
      .change = {.client_id = "orders", .expected_version = 7, .request_id = {}, .digest = {}, .forced = false},
      .key = {.algorithm = "RS256",
              .bits = 0,
              .common_name = std::string(common_name),
              .certificate_validity = {},
              .hsm = {}}});
}

// A summary is a string of Protobuf, which is read only when it is UTF-8: one that was cut within a character would
// hide every other change that waits.
TEST(ChangeSummaryTest, IsVisibleAsciiWhateverWasAskedFor) {
  std::string name;
  for (int i = 0; i < 64; ++i) {
    name += "\u6f22";
  }
  for (const auto& hostile : {name, std::string("\u202e\u2028\u0085\xff\n\x1b[2J"), std::string(4096, '"')}) {
    const auto summary = SummaryOfName(hostile);
    EXPECT_TRUE(std::ranges::all_of(summary, [](char c) { return c >= ' ' && c <= '~'; })) << summary;
    EXPECT_LT(summary.size(), 700U);
  }
}

TEST(ChangeSummaryTest, ANameCannotLookLikeAnotherField) {
  EXPECT_EQ(SummaryOfName(R"(x", decided on version 9)"),
            R"(algorithm RS256, common name "x\x22, decided on version 9", decided on version 7)");
}

TEST(ChangeSummaryTest, AnAcceptanceIsStillToCome) {
  const LedgerAcceptance acceptance{
      .change = {.client_id = "orders", .expected_version = 1, .request_id = {}, .digest = {}, .forced = true},
      .hsm = {}};
  EXPECT_EQ(
      SummaryOf(acceptance, 5),
      "decided on version 1, TO BE ACCEPTED although version 5 was seen: keys that were revoked since may sign again");
  EXPECT_TRUE(SummaryOf(acceptance).contains("TO BE ACCEPTED although a later version was seen"))
      << SummaryOf(acceptance);
}

}  // namespace
}  // namespace assertion
