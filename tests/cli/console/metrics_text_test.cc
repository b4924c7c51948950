#include "cli/console/metrics_text.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

constexpr const char* kText =
    "# HELP jobs Jobs\n# TYPE jobs gauge\njobs{hsm=\"one\",kind=\"a\"} 3\njobs{hsm=\"one\",kind=\"b\"} 1e+02\n"
    "jobs{hsm=\"a\\\"b\\\\,} \"} 7\nup 1\nbad{hsm=\"x\nworse{hsm} 1\nnan NaN\nempty\n\n";

TEST(MetricsText, ReadsLabelsAndValues) {
  const auto samples = ParseMetrics(kText);
  ASSERT_EQ(samples.size(), 4);
  EXPECT_EQ(samples[2].labels.at("hsm"), "a\"b\\,} ");
  EXPECT_EQ(samples[3].name, "up");
}

TEST(MetricsText, SumsOneHsmOrAll) {
  const auto samples = ParseMetrics(kText);
  EXPECT_EQ(SumOf(samples, "jobs", "one"), 103);
  EXPECT_EQ(SumOf(samples, "jobs", ""), 110);
  EXPECT_EQ(SumOf(samples, "jobs", "two"), std::nullopt);
}

// A foreign listener may say anything; as an integer it would be the smallest of all.
TEST(MetricsText, AValueBeyondIntegersIsTheLargestThatIsExact) {
  EXPECT_EQ(WholeNumber(2.6), 3);
  EXPECT_EQ(WholeNumber(1e308), std::int64_t{1} << 53U);
  EXPECT_EQ(WholeNumber(-1e308), -(std::int64_t{1} << 53U));
}

}  // namespace
}  // namespace assertion::cli
