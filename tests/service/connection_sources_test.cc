#include "service/connection_sources.h"

#include <gtest/gtest.h>

namespace assertion::service {
namespace {

using Greed = ConnectionSources::Greed;

TEST(ConnectionSourcesTest, TheSourceWithMostIsTheGreediestAndUnlistedOnesComeBeforeListedOnes) {
  ConnectionSources sources;
  for (int i = 0; i < 5; ++i) {
    sources.Add("listed", true);
  }
  sources.Add("unlisted", false);
  sources.Add("unlisted", false);
  EXPECT_EQ(sources.total(), 7U);
  EXPECT_EQ(sources.GreedierThan("new", true), Greed(true, 2));
  EXPECT_EQ(sources.GreedierThan("new", false), Greed(true, 2));
  sources.Remove("unlisted");
  EXPECT_EQ(sources.GreedierThan("new", false), std::nullopt) << "one would only take the place of the other";
  sources.Remove("unlisted");
  EXPECT_EQ(sources.GreedierThan("new", true), Greed(false, 5));
  EXPECT_EQ(sources.GreedierThan("listed", true), std::nullopt);
}

TEST(ConnectionSourcesTest, TriesAreCountedUntilASourceHasNone) {
  ConnectionSources sources;
  sources.Try("a");  // no such source: not counted
  sources.Add("a", false);
  sources.Try("a");
  sources.Try("a");
  EXPECT_EQ(sources.TriesOf("a", Greed(true, 1)), 3U);
  EXPECT_EQ(sources.TriesOf("a", Greed(true, 2)), 0U);
  sources.Remove("a");
  sources.Add("a", false);
  EXPECT_EQ(sources.TriesOf("a", Greed(true, 1)), 1U);
}

}  // namespace
}  // namespace assertion::service
