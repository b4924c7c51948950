#include "daemon/reloading.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{60};

Reloading::Read Unreadable(int times) { return std::unexpected(std::vector{std::to_string(times)}); }

TEST(Reloading, ReadsAndAppliesOnAnotherThread) {
  Reloading reloading;
  std::binary_semaphore applied(0);
  std::thread::id thread;
  std::string got;
  reloading.Start(
      "x", [] { return Unreadable(7); },
      [&](const Reloading::Read& read) {
        thread = std::this_thread::get_id();
        got = read.error().front();
        applied.release();
      });
  reloading.Request();
  ASSERT_TRUE(applied.try_acquire_for(kPatience));
  EXPECT_NE(thread, std::this_thread::get_id());
  EXPECT_EQ(got, "7");
  EXPECT_TRUE(reloading.Close(kPatience));
}

// What changed the file during a reload may have come too late for it.
TEST(Reloading, RequestsDuringOneBringOneMore) {
  Reloading reloading;
  std::counting_semaphore<> begun(0);
  std::counting_semaphore<> go_on(0);
  std::counting_semaphore<> applied(0);
  int reads = 0;
  reloading.Start(
      "the file",
      [&] {
        begun.release();
        go_on.acquire();
        return Unreadable(++reads);
      },
      [&](const Reloading::Read&) { applied.release(); });
  reloading.Request();
  ASSERT_TRUE(begun.try_acquire_for(kPatience));
  EXPECT_EQ(reloading.CurrentStep(), "reading the file");
  for (int i = 0; i < 5; ++i) {
    reloading.Request();
  }
  go_on.release();
  ASSERT_TRUE(begun.try_acquire_for(kPatience));
  go_on.release();
  ASSERT_TRUE(applied.try_acquire_for(kPatience));
  ASSERT_TRUE(applied.try_acquire_for(kPatience));
  reloading.End();
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(reloading.CurrentStep(), "");
}

TEST(Reloading, AReadThatHangsKeepsNoStopWaitingAndAppliesNothing) {
  Reloading reloading;
  std::binary_semaphore begun(0);
  std::binary_semaphore go_on(0);
  std::atomic<bool> applied = false;
  reloading.Start(
      "the file",
      [&] {
        begun.release();
        go_on.acquire();
        return Unreadable(1);
      },
      [&](const Reloading::Read&) { applied = true; });
  reloading.Request();
  ASSERT_TRUE(begun.try_acquire_for(kPatience));
  EXPECT_TRUE(reloading.Close(milliseconds(0)));
  EXPECT_EQ(reloading.CurrentStep(), "reading the file");
  go_on.release();
  reloading.End();
  EXPECT_FALSE(applied);
}

TEST(Reloading, AStopWaitsForWhatIsApplied) {
  Reloading reloading;
  std::binary_semaphore begun(0);
  std::binary_semaphore go_on(0);
  reloading.Start(
      "x", [] { return Unreadable(1); },
      [&](const Reloading::Read&) {
        reloading.SetStep("asking the HSM");
        begun.release();
        go_on.acquire();
      });
  reloading.Request();
  ASSERT_TRUE(begun.try_acquire_for(kPatience));
  EXPECT_FALSE(reloading.Close(milliseconds(0)));
  EXPECT_EQ(reloading.CurrentStep(), "asking the HSM");
  go_on.release();
  EXPECT_TRUE(reloading.Close(kPatience));
}

}  // namespace
}  // namespace assertion
