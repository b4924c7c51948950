#include "faulty_hsm/faulty_hsm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <latch>
#include <numeric>
#include <thread>
#include <vector>

namespace assertion {
namespace {

class FaultyHsmTest : public testing::Test {
 protected:
  using Milliseconds = std::chrono::duration<double, std::milli>;

  CK_RV GetInfo() {
    CK_INFO info{};
    const auto use = hsm_.module().Enter();
    return hsm_.module()->C_GetInfo(&info);
  }

  // The milliseconds that each call took. Each of the threads makes this many calls, all at the same time.
  std::vector<double> Time(std::size_t threads, std::size_t calls) {
    std::vector<std::vector<double>> taken(threads);
    std::latch start(static_cast<std::ptrdiff_t>(threads));
    {
      std::vector<std::jthread> running;
      for (auto& own : taken) {
        running.emplace_back([&] {
          start.arrive_and_wait();
          for (std::size_t i = 0; i < calls; ++i) {
            const auto begin = std::chrono::steady_clock::now();
            EXPECT_EQ(GetInfo(), CKR_OK);
            own.push_back(Milliseconds(std::chrono::steady_clock::now() - begin).count());
          }
        });
      }
    }
    std::vector<double> all;
    for (const auto& own : taken) {
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  }

  static double Mean(const std::vector<double>& values) {
    return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
  }

  FaultyHsm hsm_;
};

// A busy machine makes a sleep longer, never shorter, so the tests judge the short ones.
TEST_F(FaultyHsmTest, AFixedDelayIsNeverShorter) {
  hsm_.Tell("C_GetInfo delay=2.5");
  EXPECT_GE(std::ranges::min(Time(8, 20)), 2.5);
}

TEST_F(FaultyHsmTest, ACallThatTakesItsTimeIsNeverShorter) {
  hsm_.Tell("C_GetInfo take=2.5");
  EXPECT_GE(std::ranges::min(Time(8, 20)), 2.5);
}

// The delays are long, so that the time a busy machine adds does not count.
TEST_F(FaultyHsmTest, ANormalDelayIsShorterAndLongerAndNeverNegative) {
  hsm_.Tell("C_GetInfo delay=40 spread=20");
  const auto taken = Time(20, 50);
  EXPECT_GT(Mean(taken), 37);
  const auto shorter = std::ranges::count_if(taken, [](double ms) { return ms < 30; });  // a z of -0.5: 31 %
  EXPECT_GT(shorter, 100);
  EXPECT_LT(shorter, 400);
  EXPECT_GE(std::ranges::count_if(taken, [](double ms) { return ms > 60; }), 100);  // a z of 1: 16 %
}

TEST_F(FaultyHsmTest, AnExponentialDelayIsMostlyShortAndSometimesVeryLong) {
  hsm_.Tell("C_GetInfo delay=exp:40");
  const auto taken = Time(20, 50);
  EXPECT_GT(Mean(taken), 33);
  EXPECT_GT(std::ranges::count_if(taken, [](double ms) { return ms < 40; }), 250);  // 63 %
  EXPECT_GE(std::ranges::count_if(taken, [](double ms) { return ms > 80; }), 75);   // 14 %
}

TEST_F(FaultyHsmTest, ACallThatWaitsDelaysNoOther) {
  hsm_.Tell("C_GetInfo delay=100");
  const auto begin = std::chrono::steady_clock::now();
  Time(64, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(3200)) << "half of one after another";
}

TEST_F(FaultyHsmTest, SkipAndTimesCountCalls) {
  hsm_.Tell("C_GetInfo fail=0x5 skip=1 times=2\nC_GetInfo fail=48 times=1");
  EXPECT_EQ(GetInfo(), 0x30U) << "the first rule lets this one pass, to the next";
  EXPECT_EQ(GetInfo(), 0x5U);
  EXPECT_EQ(GetInfo(), 0x5U);
  EXPECT_EQ(GetInfo(), CKR_OK);
  hsm_.Tell("C_GetInfo fail=0x5 times=1");
  EXPECT_EQ(GetInfo(), 0x5U) << "a file that was replaced counts anew";
}

TEST_F(FaultyHsmTest, ALineThatIsNotUnderstoodEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const auto& [rule, word] :
       std::vector<std::pair<std::string, std::string>>{{"C_Sing fail=0x5", "C_Sing"},
                                                        {"C_Sign", ""},
                                                        {"C_Sign dealy=5", "dealy=5"},
                                                        {"C_Sign delay", "delay"},
                                                        {"C_Sign delay=-1", "delay=-1"},
                                                        {"C_Sign delay=5ms", "delay=5ms"},
                                                        {"C_Sign delay=exp:0", "delay=exp:0"},
                                                        {"C_Sign take", "take"},
                                                        {"C_Sign fail=CKR_OK", "fail=CKR_OK"},
                                                        {"C_Sign hang=5", "hang=5"},
                                                        {"C_Sign hang spread=5", "spread=5"},
                                                        {"C_Sign delay=exp:5 spread=5", "spread=5"},
                                                        {"C_Sign hang time=1", "time=1"},
                                                        {"C_Sign hang times=", "times="},
                                                        {"C_Sign hang times=1 flip", "flip"}}) {
    hsm_.Tell("C_GetInfo delay=1\n" + rule);
    EXPECT_DEATH(GetInfo(), "faults:2: '" + word + "' is not understood") << rule;
  }
}

}  // namespace
}  // namespace assertion
