#include "service/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <latch>
#include <thread>

namespace assertion::service {
namespace {

TEST(WorkerTest, OneCallerCannotTakeEveryPlace) {
  std::latch hold{1};
  std::atomic<int> done = 0;
  Worker worker;
  std::latch busy{1};
  ASSERT_TRUE(worker.Post("mallory", [&] {
    busy.count_down();
    hold.wait();
  }));
  busy.wait();
  for (std::size_t i = 0; i < Worker::kMostOfOne; ++i) {
    EXPECT_TRUE(worker.Post("mallory", [&] { ++done; }));
  }
  const auto refused = worker.Post("mallory", [&] { ++done; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_GT(refused.error().retry_delay.count(), 0);
  EXPECT_TRUE(worker.Post("anna", [&] { ++done; }));
  hold.count_down();
  while (done < static_cast<int>(Worker::kMostOfOne) + 1) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(worker.Post("mallory", [&] { ++done; }));
}

}  // namespace
}  // namespace assertion::service
