#include "observe/assertion_tally.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace assertion {
namespace {

TEST(AssertionTally, AddsUpWhatThreadsCounted) {
  constexpr int kThreads = 40;  // more than it has parts
  constexpr int kEach = 100;
  AssertionTally tally;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&tally] {
        for (int i = 0; i < kEach; ++i) {
          tally.Count("orders", "RS256", "OK", std::chrono::milliseconds(1));
          tally.Count("", "", "PERMISSION_DENIED", std::chrono::milliseconds(1));
        }
      });
    }
  }
  const auto counts = tally.counts();
  EXPECT_EQ(counts.size(), 2U);
  EXPECT_EQ(counts.at({.client_id = "orders", .algorithm = "RS256", .outcome = "OK"}), kThreads * kEach);
  EXPECT_EQ(counts.at({.client_id = "", .algorithm = "", .outcome = "PERMISSION_DENIED"}), kThreads * kEach);
  EXPECT_EQ(tally.latency(true).Read().total(), kThreads * kEach);
  EXPECT_EQ(tally.latency(false).Read().total(), kThreads * kEach);
}

TEST(TalliedAnswer, IsCountedFromItsBeginning) {
  AssertionTally tally;
  TalliedAnswer().Count("OK");  // nowhere
  const TalliedAnswer answer{.tally = &tally,
                             .began = std::chrono::steady_clock::now() - std::chrono::seconds(7),
                             .client_id = "orders",
                             .algorithm = "RS256"};
  answer.Count("OK");
  EXPECT_EQ(tally.counts().size(), 1U);
  EXPECT_GE(tally.latency(true).Read().sum, 7);
}

}  // namespace
}  // namespace assertion
