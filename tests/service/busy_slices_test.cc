#include "service/busy_slices.h"

#include <gtest/gtest.h>

namespace assertion::service {
namespace {

constexpr std::chrono::milliseconds kSlice{10};

TEST(BusySlicesTest, APeerMayBeBusyInABurstAndThenInATenth) {
  BusySlices slices;
  BusySlices::Instant now;
  for (int i = 0; i < 50; ++i, now += kSlice) {
    ASSERT_TRUE(slices.Charge(1, 1, "peer", now)) << i;
    slices.TakeEnded(now + kSlice);
  }
  int accepted = 0;
  for (int i = 0; i < 100; ++i, now += kSlice) {
    accepted += slices.Charge(1, 1, "peer", now) ? 1 : 0;
    slices.TakeEnded(now + kSlice);
  }
  EXPECT_GE(accepted, 10);
  EXPECT_LE(accepted, 16) << "what the burst gained back, and 10 a second";
}

TEST(BusySlicesTest, ASliceIsChargedOnceForAllConnectionsOfAPeer) {
  BusySlices slices;
  const BusySlices::Instant now;
  for (int fd = 0; fd < 1000; ++fd) {
    ASSERT_TRUE(slices.Charge(fd, 7, "peer", now));
  }
  EXPECT_EQ(slices.end(), now + kSlice);
  EXPECT_TRUE(slices.TakeEnded(now).empty());
  const auto busy = slices.TakeEnded(now + kSlice);
  EXPECT_EQ(busy.size(), 1000U);
  EXPECT_EQ(busy.at(999), 7U);
  EXPECT_FALSE(slices.end());
}

}  // namespace
}  // namespace assertion::service
