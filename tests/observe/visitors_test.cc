#include "observe/visitors.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace assertion {
namespace {

TEST(Visitors, OfOneSourceTheOldestMakesRoom) {
  Visitors visitors({.total = 8, .per_source = 2});
  const auto first = visitors.Add("a");
  const auto second = visitors.Add("a");
  EXPECT_FALSE(first.replaced || second.replaced);
  EXPECT_EQ(visitors.Add("a").replaced, first.number);
  EXPECT_EQ(visitors.Add("a").replaced, second.number);
  EXPECT_EQ(visitors.size(), 2U);
  EXPECT_FALSE(visitors.Add("b").replaced);
}

TEST(Visitors, OfOneSourceNeverReplaceThoseOfAnother) {
  Visitors visitors({.total = 8, .per_source = 2});
  visitors.Add("b");
  const auto first = visitors.Add("a");
  visitors.Add("a");
  EXPECT_EQ(visitors.Add("a").replaced, first.number);
}

TEST(Visitors, AtTheLimitTheOldestOfTheGreediestMakesRoom) {
  Visitors visitors({.total = 4, .per_source = 3});
  const auto only = visitors.Add("b");
  const auto greedy = visitors.Add("a");
  visitors.Add("a");
  visitors.Add("a");
  EXPECT_EQ(visitors.Add("c").replaced, greedy.number);
  EXPECT_EQ(visitors.Add("b").replaced, *greedy.number + 1);
  // Of those that have as many, it is the newcomer's own.
  EXPECT_EQ(visitors.Add("b").replaced, only.number);
  EXPECT_EQ(visitors.size(), 4U);
}

TEST(Visitors, OfASourceThatHasAsManyAsAnyReplaceTheirOwn) {
  Visitors visitors({.total = 4, .per_source = 4});
  visitors.Add("a");
  visitors.Add("a");
  const auto own = visitors.Add("b");
  visitors.Add("b");
  EXPECT_EQ(visitors.Add("b").replaced, own.number);
}

TEST(Visitors, ThatHaveGoneLeaveRoom) {
  Visitors visitors({.total = 2, .per_source = 1});
  const auto gone = visitors.Add("a");
  visitors.Remove(*gone.number);
  visitors.Remove(*gone.number);
  EXPECT_EQ(visitors.size(), 0U);
  EXPECT_FALSE(visitors.Add("a").replaced);
}

// Each from an address of its own, as a botnet's are: the oldest of all makes room for a source that has none.
TEST(Visitors, AreLetInHoweverManySourcesThereAre) {
  Visitors visitors({.total = 16, .per_source = 4});
  for (Visitors::Number i = 1; i <= 1000; ++i) {
    const auto added = visitors.Add(std::to_string(i));
    EXPECT_EQ(added.replaced, i > 16 ? std::optional(i - 16) : std::nullopt);
    EXPECT_LE(visitors.size(), 16U);
  }
}

// Many users of the socket's group, each with connections of its own.
TEST(Visitors, NeverReplaceOneOfAListedSourceThatIsBeingAnswered) {
  Visitors visitors({.total = 4, .per_source = 4});
  const auto served = visitors.Add("listed", true);
  visitors.SetAnswering(*served.number, true);
  const auto idle = visitors.Add("listed", true);
  for (int i = 0; i < 1000; ++i) {
    const auto added = visitors.Add(std::to_string(i));
    ASSERT_TRUE(added.number);
    EXPECT_NE(added.replaced, served.number);
    EXPECT_NE(added.replaced, idle.number) << "strangers make room for each other alone";
    visitors.SetAnswering(*added.number, true);
  }
  EXPECT_EQ(visitors.size(), 4U);
}

TEST(Visitors, OfAListedSourceWithMoreGiveWayToAListedOneWhenAllAreBeingAnswered) {
  Visitors visitors({.total = 4, .per_source = 2});
  for (const auto* source : {"greedy", "greedy", "other", "other"}) {
    visitors.SetAnswering(*visitors.Add(source, true).number, true);
  }
  EXPECT_FALSE(visitors.Add("stranger").number);
  const auto third = visitors.Add("third", true);
  EXPECT_TRUE(third.number);
  EXPECT_TRUE(third.replaced);
  visitors.SetAnswering(*third.number, true);
  EXPECT_EQ(visitors.size(), 4U);
  const auto fourth = visitors.Add("fourth", true);
  EXPECT_TRUE(fourth.number);
  visitors.SetAnswering(*fourth.number, true);
  EXPECT_FALSE(visitors.Add("fifth", true).number) << "nobody has more than it would have";
}

TEST(Visitors, OfSourcesInNoListMakeRoomForListedOnesTheIdleFirst) {
  Visitors visitors({.total = 4, .per_source = 4});
  const auto answered = visitors.Add("a");
  visitors.SetAnswering(*answered.number, true);
  const auto idle = visitors.Add("b");
  const auto listed = visitors.Add("listed", true);
  visitors.Add("listed", true);
  EXPECT_EQ(visitors.Add("listed", true).replaced, idle.number);
  EXPECT_EQ(visitors.Add("listed", true).replaced, answered.number);
  EXPECT_FALSE(visitors.Add("c").number) << "all places are those of listed sources";
  EXPECT_EQ(visitors.Add("other", true).replaced, listed.number);
}

TEST(Visitors, OfASourceThatIsAnsweredEverywhereGetNoMore) {
  Visitors visitors({.total = 8, .per_source = 2});
  for (int i = 0; i < 2; ++i) {
    visitors.SetAnswering(*visitors.Add("listed", true).number, true);
  }
  EXPECT_FALSE(visitors.Add("listed", true).number);
  visitors.SetAnswering(1, false);
  EXPECT_EQ(visitors.Add("listed", true).replaced, 1U);
}

}  // namespace
}  // namespace assertion
