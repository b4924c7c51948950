#include "p11/object_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace assertion::p11 {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(ObjectGateTest, ReadersGoTogether) {
  ObjectGate gate{hours(1)};
  const ObjectGate::Reader one(gate);
  const ObjectGate::Reader other(gate);
}

TEST(ObjectGateTest, NothingGoesBesideAWriter) {
  ObjectGate gate{hours(1)};
  constexpr int kRounds = 500;
  std::atomic<int> writing = 0;
  std::atomic<int> reading = 0;
  std::atomic<int> met = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const ObjectGate::Reader reader(gate);
        ++reading;
        met += writing > 0 ? 1 : 0;
        --reading;
      }
    });
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const ObjectGate::Writer writer(gate);
        met += ++writing > 1 || reading > 0 ? 1 : 0;
        std::this_thread::yield();
        --writing;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(met, 0);
}

TEST(ObjectGateTest, NoOneWaitsLongerThanThePatience) {
  ObjectGate gate{milliseconds(1)};
  const ObjectGate::Reader hangs(gate);
  const ObjectGate::Writer too(gate);
  const ObjectGate::Writer other(gate);
  const ObjectGate::Reader reader(gate);
}

// A writer that hangs costs all readers one patience together, not one each.
TEST(ObjectGateTest, AnOldWriterDelaysNoReader) {
  constexpr milliseconds kPatience{200};
  ObjectGate gate{kPatience};
  const ObjectGate::Writer hangs(gate);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    const ObjectGate::Reader reader(gate);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 100 * kPatience);
}

TEST(ObjectGateTest, TellsUntilWhenItHeldReadersBack) {
  using std::chrono::steady_clock;
  ObjectGate gate{hours(1)};
  EXPECT_EQ(gate.HeldReadersUntil(), steady_clock::time_point());
  {
    const auto began = steady_clock::now();
    const ObjectGate::Writer writer(gate);
    EXPECT_GE(gate.HeldReadersUntil(), began);
    const auto later = steady_clock::now();
    EXPECT_GE(gate.HeldReadersUntil(), later) << "it still does";
  }
  const auto ended = gate.HeldReadersUntil();
  EXPECT_LE(ended, steady_clock::now());
  EXPECT_EQ(gate.HeldReadersUntil(), ended);

  ObjectGate impatient{milliseconds(0)};
  const ObjectGate::Writer hangs(impatient);
  const auto now = steady_clock::now();
  EXPECT_LE(impatient.HeldReadersUntil(), now) << "readers go on beside a writer that is older than the patience";
}

}  // namespace
}  // namespace assertion::p11
