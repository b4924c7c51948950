#include "cli/console/metrics_text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

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
  EXPECT_EQ(SumOf(samples, "jobs"), 110);
  EXPECT_EQ(SumOf(samples, "none"), std::nullopt);
  const auto hsms = HsmsOf(ParseMetrics("assertiond_token_usable{hsm=\"one\"} 1\n" + std::string(kText)));
  ASSERT_EQ(hsms.size(), 1);
  EXPECT_EQ(hsms.at("one").Find("jobs"), 103);
  EXPECT_EQ(hsms.at("one").Find("assertiond_token_usable"), 1);
  EXPECT_EQ(hsms.at("one").Find("up"), std::nullopt);
}

// As many as an answer of 1 MiB has room for, which is the most that is read. The console answers nobody meanwhile.
TEST(MetricsText, ManyHsmsAreReadAtOnce) {
  constexpr int kSeries = 26'000;
  std::string text;
  for (int i = 0; i < kSeries; ++i) {
    text += "assertiond_token_usable{hsm=\"" + std::to_string(i) + "\"} 1\n";
  }
  const auto begin = std::chrono::steady_clock::now();
  double usable = 0;
  for (const auto& [label, figures] : HsmsOf(ParseMetrics(text))) {
    usable += figures.Find("assertiond_token_usable").value_or(0) + figures.Find("assertiond_queue_jobs").value_or(0);
  }
  EXPECT_EQ(usable, kSeries);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

// A foreign listener may say anything; as an integer it would be the smallest of all.
TEST(MetricsText, AValueBeyondIntegersIsTheLargestThatIsExact) {
  EXPECT_EQ(WholeNumber(2.6), 3);
  EXPECT_EQ(WholeNumber(1e308), std::int64_t{1} << 53U);
  EXPECT_EQ(WholeNumber(-1e308), -(std::int64_t{1} << 53U));
}

}  // namespace
}  // namespace assertion::cli
