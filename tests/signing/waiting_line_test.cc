#include "signing/waiting_line.h"

#include <gtest/gtest.h>

#include "test_input.h"

namespace assertion {
namespace {

using std::chrono::seconds;

class WaitingLineTest : public testing::Test {
 protected:
  void Push(const std::string& caller, int deadline, std::shared_ptr<JobTicket> ticket = nullptr) {
    line_.Push(Job(caller, deadline, std::move(ticket)), now_);
  }

  std::string Pop() { return line_.Pop(now_).input.text(); }

  static SigningJob Job(const std::string& caller, int deadline, std::shared_ptr<JobTicket> ticket = nullptr) {
    return {.key = {},
            .input = TestInput::Of(caller + std::to_string(deadline)),
            .caller = caller,
            .deadline = At(deadline),
            .done = {},
            .ticket = std::move(ticket)};
  }

  static WaitingLine::Instant At(int deadline) { return WaitingLine::Instant(seconds(deadline)); }

  std::string All() {
    std::string all;
    while (line_.size() > 0) {
      all += (all.empty() ? "" : " ") + Pop();
    }
    return all;
  }

  WaitingLine line_;
  WaitingLine::Instant now_;
};

TEST_F(WaitingLineTest, OneCallersAreOrderedByDeadlineAndThenByTheirComing) {
  const auto second = std::make_shared<JobTicket>();
  Push("a", 3);
  Push("a", 1);
  Push("a", 2);
  Push("a", 1, second);
  EXPECT_EQ(Pop(), "a1");
  EXPECT_TRUE(second->place) << "it came later";
  EXPECT_EQ(All(), "a1 a2 a3");
}

TEST_F(WaitingLineTest, CallersTakeTurnsWhateverTheirDeadlines) {
  for (const int deadline : {1, 2, 3, 4}) {
    Push("greedy", deadline);
  }
  Push("slow", 9);
  Push("other", 8);
  Push("slow", 7);
  EXPECT_EQ(All(), "greedy1 slow7 other8 greedy2 slow9 greedy3 greedy4");
}

TEST_F(WaitingLineTest, WhoComesBackComesLast) {
  Push("a", 1);
  Push("a", 2);
  Push("b", 1);
  EXPECT_EQ(Pop(), "a1");
  Push("c", 1);
  EXPECT_EQ(All(), "b1 a2 c1");
}

TEST_F(WaitingLineTest, KnowsHowManyAreAhead) {
  EXPECT_EQ(line_.Ahead("a", At(1)), 0U);
  for (const int deadline : {2, 4, 6}) {
    Push("a", deadline);
    Push("b", deadline);
  }
  line_.PushFirst(Job("", 1));
  EXPECT_EQ(line_.Ahead("a", At(1)), 1U + 0U + 1U);
  EXPECT_EQ(line_.Ahead("a", At(5)), 1U + 2U + 3U);
  EXPECT_EQ(line_.Ahead("a", At(9)), 1U + 3U + 3U);
  EXPECT_EQ(line_.Ahead("new", At(9)), 1U + 0U + 2U);
}

TEST_F(WaitingLineTest, LearnsHowOftenACallersTurnComes) {
  for (int i = 0; i < 5; ++i) {
    Push("a", 9);
  }
  now_ += seconds(7);
  Pop();
  EXPECT_EQ(line_.UntilTurn("a", At(9)), seconds(0)) << "one turn tells no interval";
  now_ += seconds(2);
  Pop();
  EXPECT_EQ(line_.UntilTurn("a", At(9)), seconds(4 * 2));
  EXPECT_EQ(line_.UntilTurn("a", At(1)), seconds(1 * 2)) << "it would come before all others";
  EXPECT_EQ(line_.UntilTurn("b", At(9)), seconds(0));
  now_ += seconds(10);
  Pop();
  EXPECT_EQ(line_.UntilTurn("a", At(9)), seconds(3 * 6)) << "a moving average";
  Pop();
  Pop();
  Push("a", 9);
  EXPECT_EQ(line_.UntilTurn("a", At(9)), seconds(0)) << "it waits anew";
}

// 16 sessions that began together take the next 16 jobs together. While calls kept coming the pause before such a bunch
// was taken for the cost of each turn, and most of a burst was refused for no reason.
TEST_F(WaitingLineTest, TurnsThatComeInBunchesAreNotTakenForRareOnes) {
  constexpr int kSessions = 16;
  constexpr int kJobs = 1000;
  for (int i = 0; i < kJobs; ++i) {
    Push("a", 9);
  }
  for (int left = kJobs; left > kJobs / 2; left -= kSessions) {
    now_ += seconds(kSessions);
    for (int i = 0; i < kSessions; ++i) {
      EXPECT_LE(line_.UntilTurn("a", At(9)), seconds(left) * 1.5);
      Pop();
      EXPECT_LE(line_.UntilTurn("a", At(9)), seconds(left) * 1.5);
    }
  }
  EXPECT_GE(line_.UntilTurn("a", At(9)), seconds(line_.size()) * 0.7);
}

TEST_F(WaitingLineTest, WhoHasMostGivesWayByItsLast) {
  for (const int deadline : {1, 2, 3}) {
    Push("greedy", deadline);
  }
  Push("slow", 9);
  EXPECT_FALSE(line_.RemoveOneFor("greedy"));
  EXPECT_EQ(line_.RemoveOneFor("slow")->input.text(), "greedy3");
  EXPECT_FALSE(line_.RemoveOneFor("slow")) << "it would have as many";
  EXPECT_EQ(line_.RemoveOneFor("new")->input.text(), "greedy2");
  EXPECT_EQ(All(), "greedy1 slow9");
}

TEST_F(WaitingLineTest, ATicketTakesItsJobOnce) {
  const auto ticket = std::make_shared<JobTicket>();
  Push("a", 1);
  Push("a", 1, ticket);
  ASSERT_TRUE(line_.Remove(*ticket));
  EXPECT_FALSE(line_.Remove(*ticket));
  EXPECT_EQ(All(), "a1");
}

TEST_F(WaitingLineTest, WhatHasExpiredIsTakenFromEverywhere) {
  line_.PushFirst(Job("first", 1));
  line_.PushFirst(Job("first", 5));
  for (const int deadline : {1, 2, 5}) {
    Push("a", deadline);
  }
  Push("b", 2);
  EXPECT_EQ(line_.RemoveExpired(At(2)).size(), 4U);
  EXPECT_EQ(All(), "first5 a5");
}

TEST_F(WaitingLineTest, UrgentOnesStayWhenAllAreTaken) {
  auto urgent = Job("urgent", 1);
  urgent.urgent = true;
  line_.PushFirst(std::move(urgent));
  line_.PushFirst(Job("again", 1));
  Push("a", 1);
  EXPECT_EQ(line_.RemoveAll().size(), 2U);
  EXPECT_EQ(All(), "urgent1");
}

}  // namespace
}  // namespace assertion
