#include "observe/visitors.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace assertion {
namespace {

TEST(Visitors, OfOneSourceTheOldestMakesRoom) {
  Visitors visitors({.total = 8, .per_source = 2});
  const auto first = visitors.Admit("a");
  const auto second = visitors.Admit("a");
  EXPECT_FALSE(first.leaves || second.leaves);
  EXPECT_EQ(visitors.Admit("a").leaves, first.number);
  EXPECT_EQ(visitors.Admit("a").leaves, second.number);
  EXPECT_EQ(visitors.size(), 2U);
  EXPECT_FALSE(visitors.Admit("b").leaves);
}

TEST(Visitors, AtTheLimitTheOldestOfTheGreediestMakesRoom) {
  Visitors visitors({.total = 4, .per_source = 3});
  const auto only = visitors.Admit("b");
  const auto greedy = visitors.Admit("a");
  visitors.Admit("a");
  visitors.Admit("a");
  EXPECT_EQ(visitors.Admit("c").leaves, greedy.number);
  EXPECT_EQ(visitors.Admit("b").leaves, greedy.number + 1);
  // Of those that have as many, it is the newcomer's own.
  EXPECT_EQ(visitors.Admit("b").leaves, only.number);
  EXPECT_EQ(visitors.size(), 4U);
}

TEST(Visitors, ThatHaveGoneLeaveRoom) {
  Visitors visitors({.total = 2, .per_source = 1});
  const auto gone = visitors.Admit("a");
  visitors.Remove(gone.number);
  visitors.Remove(gone.number);
  EXPECT_EQ(visitors.size(), 0U);
  EXPECT_FALSE(visitors.Admit("a").leaves);
}

// Each from an address of its own, as a botnet's are: the oldest of all makes room for a source that has none.
TEST(Visitors, AreLetInHoweverManySourcesThereAre) {
  Visitors visitors({.total = 16, .per_source = 4});
  for (Visitors::Number i = 1; i <= 1000; ++i) {
    const auto admitted = visitors.Admit(std::to_string(i));
    EXPECT_EQ(admitted.leaves, i > 16 ? std::optional(i - 16) : std::nullopt);
    EXPECT_LE(visitors.size(), 16U);
  }
}

}  // namespace
}  // namespace assertion
