#include "p11/object_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace assertion::p11 {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(ObjectGateTest, LooksGoTogether) {
  ObjectGate gate{hours(1)};
  const ObjectGate::Reader one(gate);
  const ObjectGate::Reader other(gate);
}

TEST(ObjectGateTest, NothingGoesBesideAChange) {
  ObjectGate gate{hours(1)};
  constexpr int kRounds = 2000;
  std::atomic<int> changing = 0;
  std::atomic<int> looking = 0;
  std::atomic<int> met = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const ObjectGate::Reader look(gate);
        ++looking;
        met += changing > 0 ? 1 : 0;
        --looking;
      }
    });
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const ObjectGate::Writer change(gate);
        met += ++changing > 1 || looking > 0 ? 1 : 0;
        std::this_thread::yield();
        --changing;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(met, 0);
}

TEST(ObjectGateTest, NobodyWaitsLongerThanThePatience) {
  ObjectGate gate{milliseconds(1)};
  const ObjectGate::Reader hangs(gate);
  const ObjectGate::Writer too(gate);
  const ObjectGate::Writer other(gate);
  const ObjectGate::Reader look(gate);
}

// A change that hangs costs all the looks of its thread's neighbours one patience, not one each.
TEST(ObjectGateTest, AnOldChangeHoldsUpNoLook) {
  constexpr milliseconds kPatience{200};
  ObjectGate gate{kPatience};
  const ObjectGate::Writer hangs(gate);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    const ObjectGate::Reader look(gate);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 100 * kPatience);
}

}  // namespace
}  // namespace assertion::p11
