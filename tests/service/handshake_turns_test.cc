#include "service/handshake_turns.h"

#include <gtest/gtest.h>

namespace assertion::service {
namespace {

constexpr std::size_t kLimit = 16;  // one source may have an eighth of them: two

class HandshakeTurnsTest : public testing::Test {
 protected:
  // Begins the next handshake. The peer is named by its descriptor.
  std::optional<int> BeginNext(const std::string& source) {
    const auto fd = turns_.Next();
    if (fd) {
      turns_.Begin(std::to_string(*fd), source, now_);
    }
    return fd;
  }

  HandshakeTurns::Instant now_;
  HandshakeTurns turns_{kLimit};
};

TEST_F(HandshakeTurnsTest, ASourceHasAnEighthOfThePlaces) {
  for (const int fd : {1, 2, 3}) {
    turns_.Wait(fd, "a", now_);
  }
  EXPECT_EQ(BeginNext("a"), 1);
  EXPECT_EQ(BeginNext("a"), 2);
  EXPECT_EQ(BeginNext("a"), std::nullopt);
  turns_.Wait(4, "b", now_);
  EXPECT_EQ(BeginNext("b"), 4);
  turns_.Complete("1");
  EXPECT_EQ(BeginNext("a"), 3);
  EXPECT_FALSE(turns_.IsAnyWaiting());
}

TEST_F(HandshakeTurnsTest, TheSourceWithFewestComesFirst) {
  turns_.Wait(1, "a", now_);
  ASSERT_EQ(BeginNext("a"), 1);
  turns_.Wait(2, "a", now_);
  turns_.Wait(3, "b", now_);
  EXPECT_EQ(BeginNext("b"), 3);
  EXPECT_EQ(BeginNext("a"), 2);
}

TEST_F(HandshakeTurnsTest, AFailureIsToldOnceAMinuteForASource) {
  for (const auto* peer : {"1", "2", "3", "4"}) {
    turns_.Begin(peer, peer == std::string("4") ? "b" : "a", now_);
  }
  turns_.Complete("3");
  EXPECT_TRUE(turns_.Fail("1", now_));
  EXPECT_FALSE(turns_.Fail("2", now_));
  EXPECT_FALSE(turns_.Fail("3", now_));  // it has called
  EXPECT_TRUE(turns_.Fail("4", now_));
  EXPECT_TRUE(turns_.Fail("2", now_ + HandshakeTurns::kTellingInterval));
}

TEST_F(HandshakeTurnsTest, AFailedHandshakeKeepsItsPlaceForAWhile) {
  for (const int fd : {1, 2, 3}) {
    turns_.Wait(fd, "a", now_);
  }
  BeginNext("a");
  BeginNext("a");
  turns_.Fail("1", now_);
  turns_.Expire(now_ + HandshakeTurns::kFailureLimit - std::chrono::milliseconds(1));
  EXPECT_EQ(turns_.Next(), std::nullopt);
  turns_.Expire(now_ + HandshakeTurns::kFailureLimit);
  EXPECT_EQ(turns_.Next(), 3);
}

TEST_F(HandshakeTurnsTest, AHandshakeGivesUpItsPlaceAtItsLimit) {
  for (const int fd : {1, 2, 3}) {
    turns_.Wait(fd, "a", now_);
  }
  BeginNext("a");
  BeginNext("a");
  turns_.Expire(now_ + HandshakeTurns::kHandshakeLimit);
  EXPECT_EQ(turns_.Next(), 3);
}

TEST_F(HandshakeTurnsTest, OneThatWaitsTooLongIsOverdue) {
  turns_.Wait(1, "a", now_);
  EXPECT_EQ(turns_.Overdue(now_ + HandshakeTurns::kTurnLimit - std::chrono::milliseconds(1)), std::nullopt);
  EXPECT_EQ(turns_.Overdue(now_ + HandshakeTurns::kTurnLimit), 1);
  turns_.Leave(1);
  EXPECT_EQ(turns_.Overdue(now_ + HandshakeTurns::kTurnLimit), std::nullopt);
}

}  // namespace
}  // namespace assertion::service
