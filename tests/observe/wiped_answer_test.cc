#include "observe/wiped_answer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

namespace assertion {
namespace {

constexpr std::string_view kShort = "a-secret-token";  // a string keeps it in itself, where the test can look

class WipedAnswerTest : public testing::Test {
 protected:
  bool HoldsSecret() const {
    const std::string_view octets(reinterpret_cast<const char*>(place_.data()), place_.size());
    return octets.contains(kShort.substr(1));
  }
  WipedAnswer* Make() {
    return std::construct_at(reinterpret_cast<WipedAnswer*>(place_.data()),
                             HttpAnswer{.status = 200, .body = std::string(kShort)});
  }

  alignas(WipedAnswer) std::array<std::byte, sizeof(WipedAnswer)> place_{};
};

TEST_F(WipedAnswerTest, AnAnswerThatNobodyTakesIsWipedWhenItEnds) {
  auto* answer = Make();
  EXPECT_TRUE(HoldsSecret());
  std::destroy_at(answer);
  EXPECT_FALSE(HoldsSecret());
}

TEST_F(WipedAnswerTest, ATakenAnswerIsWhole) {
  auto* answer = Make();
  EXPECT_EQ(answer->Take().body, kShort);
  std::destroy_at(answer);
}

}  // namespace
}  // namespace assertion
