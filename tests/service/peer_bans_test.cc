#include "service/peer_bans.h"

#include <gtest/gtest.h>

namespace assertion::service {
namespace {

using std::chrono::seconds;

TEST(PeerBansTest, EachBanIsTwiceAsLongUpToFiveMinutes) {
  PeerBans bans;
  PeerBans::Instant now;
  for (const int expected : {10, 20, 40, 80, 160, 300, 300}) {
    EXPECT_FALSE(bans.IsBanned("peer", now));
    EXPECT_EQ(bans.Ban("peer", now), seconds(expected));
    EXPECT_TRUE(bans.IsBanned("peer", now + seconds(expected - 1)));
    EXPECT_FALSE(bans.IsBanned("another", now));
    now += seconds(expected);
  }
}

TEST(PeerBansTest, ABanIsForgottenAfterItsOwnLength) {
  PeerBans bans;
  const PeerBans::Instant now;
  ASSERT_EQ(bans.Ban("peer", now), seconds(10));
  ASSERT_EQ(bans.Ban("peer", now + seconds(20)), seconds(20));  // ends at 40 s
  EXPECT_EQ(bans.Ban("peer", now + seconds(61)), seconds(10));
}

}  // namespace
}  // namespace assertion::service
