#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <latch>
#include <thread>

#include "access_tokens/access_tokens_fixture.h"

namespace assertion::tokens {
namespace {

TEST_F(AccessTokensTest, AThousandCallersAtOnceAreOnePurchase) {
  constexpr int kCallers = 1000;
  std::atomic<int> served = 0;
  {
    std::latch start(8);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        for (int call = 0; call < kCallers / 8; ++call) {
          tokens_.Get(kOrders, {.deadline = now_.load() + seconds(10)},
                      [&](const Result<AccessTokenPtr>& token) { served += TextOf(token) == "one" ? 1 : 0; });
        }
      });
    }
  }
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(served, 0);
  Answer(Token("one"));
  EXPECT_EQ(served, kCallers);
}

TEST_F(AccessTokensTest, ARefusalOfOneRequestIsToldAfterOneOfTheClient) {
  Get(seconds(30));
  Answer(std::unexpected(Down()));
  Pass(milliseconds(1050));
  Get(seconds(30));
  Answer(
      std::unexpected(Refusal{.error = {.code = Code::kFailedPrecondition, .message = "invalid_scope", .detail = {}}}));
  ASSERT_EQ(got_.size(), 2U);
  EXPECT_EQ(got_.at(1).error().message, "invalid_scope");
}

TEST_F(AccessTokensTest, ATokenBoundToAnotherKeyIsAnother) {
  auto bound = kOrders;
  bound.kid = "old";
  Get(seconds(30), {}, bound);
  Answer(Token("of the old key"));
  bound.scope = "write";
  Get(seconds(30), {}, bound);
  Answer(Token("of the old key, too"));
  Pass(seconds(1));
  bound = kOrders;
  bound.kid = "new";
  Get(seconds(30), {}, bound);
  ASSERT_EQ(got_.size(), 2U) << "the old key's token was handed out";
  Answer(Token("of the new key"));
  EXPECT_EQ(TextOf(got_.at(2)), "of the new key");
  EXPECT_EQ(tokens_.size(), 1U) << "the old key's tokens take places";
  EXPECT_EQ(tokens_.Read()["orders"].held, 1U);
}

TEST_F(AccessTokensTest, FiguresTellOfEachClient) {
  Get(seconds(30));
  Get(seconds(30));
  Answer(Token("one"));
  Get(seconds(30));
  Get(seconds(400));  // refused: the tokens are shorter
  Get(seconds(30), {}, {.client_id = "reports", .scope = "read", .resource = {}});
  Answer(std::unexpected(Down(seconds(7))));
  Pass(seconds(5));
  auto figures = tokens_.Read();
  ASSERT_EQ(figures.size(), 2U);
  const auto& orders = figures["orders"];
  EXPECT_EQ(orders.purchases, (std::array<std::uint64_t, 5>{1, 0, 0, 0, 0}));
  EXPECT_EQ(orders.handed_out, 0U) << "what is not handed out is not counted";
  EXPECT_EQ(orders.held, 1U);
  EXPECT_EQ(orders.oldest, seconds(5));
  EXPECT_EQ(orders.pause_left, seconds(0));
  const auto& reports = figures["reports"];
  EXPECT_EQ(reports.purchases, (std::array<std::uint64_t, 5>{0, 0, 0, 1, 0}));
  EXPECT_EQ(reports.handed_out, 0U);
  EXPECT_EQ(reports.pause_left, seconds(2));
  tokens_.CountHandOut("orders");
  tokens_.CountHandOut("removed");
  EXPECT_EQ(tokens_.Read()["orders"].handed_out, 1U);
  EXPECT_EQ(tokens_.Read().size(), 2U);
  Pass(seconds(295));
  tokens_.Sweep();
  figures = tokens_.Read();
  EXPECT_EQ(figures["orders"].held, 0U);
  EXPECT_EQ(figures["orders"].oldest, seconds(0));
  EXPECT_EQ(figures["reports"].pause_left, seconds(0));
}

TEST_F(AccessTokensTest, AFullQueueIsNotTheServersLimit) {
  Get(seconds(30));
  Answer(std::unexpected(
      Refusal{.error = {.code = Code::kResourceExhausted, .message = "full", .detail = {}}, .queue_full = true}));
  Pass(seconds(1));
  Get(seconds(30));
  Answer(std::unexpected(Refusal{.error = {.code = Code::kResourceExhausted, .message = "429", .detail = {}}}));
  EXPECT_EQ(tokens_.Read().at("orders").purchases, (std::array<std::uint64_t, 5>{0, 0, 1, 0, 1}));
}

TEST_F(AccessTokensTest, FiguresFollowTokensThatComeAndGo) {
  const Wanted writing{.client_id = "orders", .scope = "write", .resource = {}};
  const auto held = [this] { return tokens_.Read().at("orders").held; };
  const auto oldest = [this] { return tokens_.Read().at("orders").oldest; };
  Get(seconds(30));
  Answer(Token("one"));
  Pass(seconds(10));
  Get(seconds(30), {}, writing);
  Answer(Token("two"));
  EXPECT_EQ(held(), 2U);
  EXPECT_EQ(oldest(), seconds(10));
  Pass(seconds(235));
  Get(seconds(30));
  Answer(Token("one again"));  // takes the place of the first
  EXPECT_EQ(held(), 2U);
  EXPECT_EQ(oldest(), seconds(235));
  Pass(seconds(65));
  tokens_.Sweep();  // the second has expired
  EXPECT_EQ(held(), 1U);
  EXPECT_EQ(oldest(), seconds(65));
  tokens_.Forget([](const auto& /*client*/) { return true; }, [](const auto& /*client*/) { return false; });
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(tokens_.Read().at("orders").purchases.front(), 3U) << "counters of a client that stays begin again";
}

TEST_F(AccessTokensTest, FiguresOfARemovedClientGoWithIt) {
  const Wanted reports{.client_id = "reports", .scope = "read", .resource = {}};
  Get(seconds(30));
  Answer(Token("one"));
  Get(seconds(30), {}, reports);
  const auto is_reports = [](const std::string& client) { return client == "reports"; };
  tokens_.Forget(is_reports, is_reports);
  Answer(Token("late"));  // must not bring them back
  const auto figures = tokens_.Read();
  EXPECT_EQ(figures.size(), 1U);
  EXPECT_TRUE(figures.contains("orders"));
}

// Pods that keep their token until it has 30 s left. A purchase replaces a token of 300 s after 210 s at the earliest.
TEST_F(AccessTokensTest, AThousandPodsAskTheIdentityServerNoMoreThanOne) {
  constexpr int kPods = 1000;
  constexpr int kHour = 3600;
  std::vector<Instant> ask_at;
  for (int pod = 0; pod < kPods; ++pod) {
    ask_at.push_back(now_.load() + milliseconds(300 * pod));
  }
  for (int second = 0; second < kHour; ++second, Pass(seconds(1))) {
    for (auto& at : ask_at) {
      if (at <= now_.load()) {
        const auto before = asked_.size();
        got_.clear();
        Get(seconds(30));
        if (asked_.size() > before) {
          Answer(Token("pod"));
        }
        ASSERT_EQ(got_.size(), 1U);
        ASSERT_TRUE(got_.front()) << TextOf(got_.front());
        at = (*got_.front())->expires - seconds(30);
      }
    }
  }
  const auto figures = tokens_.Read().at("orders");
  EXPECT_LE(figures.purchases.front(), kHour / 210 + 1);
  std::printf("1,000 pods, tokens of 300 s, one hour: %llu tokens handed out, %llu token requests\n",
              static_cast<unsigned long long>(figures.handed_out),
              static_cast<unsigned long long>(figures.purchases.front()));
}

TEST_F(AccessTokensTest, OtherScopesAndResourcesAreOtherPurchases) {
  Get(seconds(30));
  Get(seconds(30), {}, {.client_id = "orders", .scope = "write", .resource = {}});
  Get(seconds(30), {}, {.client_id = "orders", .scope = "read", .resource = "https://api.example.com"});
  EXPECT_EQ(asked_.size(), 3U);
}

TEST_F(AccessTokensTest, NobodyWaitsForTheRenewalAndNobodyGetsLess) {
  Get(seconds(30));
  Answer(Token("0"));
  for (int tick = 1; tick <= 3000 * 200; ++tick) {  // 200 a second for ten lives of a token
    Pass(milliseconds(5));
    const auto before = asked_.size();
    got_.clear();
    Get(seconds(30));
    ASSERT_EQ(got_.size(), 1U) << "a caller waits at tick " << tick;
    ASSERT_TRUE(got_[0]) << got_[0].error().message;
    ASSERT_GE((*got_[0])->expires - now_.load(), seconds(30));
    if (asked_.size() > before && asked_.size() % 2 == 0) {
      Pass(seconds(2));  // the identity server is slow
    }
    if (asked_.size() > before) {
      Answer(Token("next"));
    }
  }
  EXPECT_GE(asked_.size(), 11U);
  EXPECT_LE(asked_.size(), 15U);
}

// What callers read is the whole second before the expiry.
TEST_F(AccessTokensTest, NobodyReadsAnExpirySoonerThanAsked) {
  Pass(milliseconds(700));
  Get(seconds(6));
  Answer(Token("one", seconds(10)));
  const auto wall = [](Instant instant) { return instant.time_since_epoch(); };
  EXPECT_EQ(wall((*got_.at(0))->expires), std::chrono::floor<seconds>(wall(now_.load() + seconds(10))));
  Pass(milliseconds(3300));
  Get(seconds(6));
  EXPECT_EQ(TextOf(got_.back()), "one");
  Pass(milliseconds(1));  // 6.699 s are left, of which callers read 5.999 s
  Get(seconds(6));
  EXPECT_EQ(got_.size(), 2U) << "a token with less than was asked for";
}

TEST_F(AccessTokensTest, ATokenTooShortForTheAskerIsReplaced) {
  Get(seconds(30));
  Answer(Token("old"));
  Pass(seconds(200));
  Get(seconds(30));
  EXPECT_EQ(TextOf(got_.back()), "old");
  Get(seconds(120));
  ASSERT_EQ(asked_.size(), 2U);
  Answer(Token("new"));
  EXPECT_EQ(TextOf(got_.back()), "new");
}

TEST_F(AccessTokensTest, TheAskerWhoWantsMoreThanTheServerGrantsIsTold) {
  Get(seconds(600));
  Answer(Token("short"));
  EXPECT_EQ(got_.back().error().code, Code::kFailedPrecondition);
  Get(seconds(600));
  EXPECT_EQ(got_.back().error().code, Code::kFailedPrecondition);
  EXPECT_EQ(asked_.size(), 1U) << "the identity server was asked in vain";
}

TEST_F(AccessTokensTest, NobodyNoticesThatTheServerIsDownWhileTheTokenIsValid) {
  Get(seconds(30));
  Answer(Token("one"));
  Pass(seconds(235));  // the renewal is due at 240 s
  std::size_t probes = 0;
  for (int second = 0; second < 30; ++second) {
    Pass(seconds(1));
    for (int call = 0; call < 200; ++call) {
      Get(seconds(30));
      ASSERT_EQ(TextOf(got_.back()), "one");
      if (asked_.size() - 1 > probes) {
        ++probes;
        Answer(std::unexpected(Down()));
      }
    }
  }
  EXPECT_GT(probes, 20U);
  EXPECT_LE(probes, 30U);
  EXPECT_EQ(states_, (std::vector{false})) << "one line, not one for each try";
}

TEST_F(AccessTokensTest, WithoutATokenThereIsOneProbeASecond) {
  std::size_t probes = 0;
  for (int step = 0; step < 100; ++step, Pass(milliseconds(100))) {
    for (const auto* scope : {"read", "write"}) {
      Get(seconds(30), {}, {.client_id = "orders", .scope = scope, .resource = {}});
      if (asked_.size() > probes) {
        ++probes;
        Answer(std::unexpected(Down()));
      }
      ASSERT_EQ(got_.back().error().code, Code::kUnavailable);
      ASSERT_GT(got_.back().error().retry_delay, milliseconds(0));
      ASSERT_LE(got_.back().error().retry_delay, seconds(1));
    }
  }
  EXPECT_EQ(probes, 10U);
  Pass(seconds(1));
  Get(seconds(30));
  Answer(Token("back"));
  EXPECT_EQ(TextOf(got_.back()), "back");
  EXPECT_EQ(states_, (std::vector{false, true}));
}

TEST_F(AccessTokensTest, RetryAfterIsHonouredUpToAnHour) {
  Get(seconds(30));
  Answer(std::unexpected(Down(seconds(20))));
  Pass(seconds(19));
  Get(seconds(30));
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(got_.back().error().retry_delay, seconds(1));
  Pass(seconds(1));
  Get(seconds(30));
  ASSERT_EQ(asked_.size(), 2U);
  Answer(std::unexpected(Down(std::chrono::hours(100))));
  EXPECT_EQ(got_.back().error().retry_delay, std::chrono::hours(1));
}

TEST_F(AccessTokensTest, RefusedCredentialsAreTriedLessAndLess) {
  auto refused = Down();
  refused.by_credentials = true;
  std::vector<milliseconds> pauses;
  for (int i = 0; i < 8; ++i) {
    Get(seconds(30));
    Answer(std::unexpected(refused));
    pauses.push_back(got_.back().error().retry_delay);
    Pass(pauses.back());
  }
  EXPECT_EQ(pauses, (std::vector<milliseconds>{seconds(1), seconds(2), seconds(4), seconds(8), seconds(16), seconds(32),
                                               seconds(60), seconds(60)}));
}

// The caller asks a second after the pause of its scope; the server sweeps four times a second.
TEST_F(AccessTokensTest, ARefusalOfOneScopesCredentialsIsTriedLessAndLess) {
  auto refused = Down();
  refused.of_client = false;
  refused.by_credentials = true;
  std::vector<milliseconds> pauses;
  for (int i = 0; i < 4; ++i) {
    Get(seconds(30));
    ASSERT_EQ(asked_.size(), static_cast<std::size_t>(i + 1));
    Answer(std::unexpected(refused));
    pauses.push_back(got_.back().error().retry_delay);
    Pass(pauses.back() + seconds(1));
    tokens_.Sweep();
  }
  EXPECT_EQ(pauses, (std::vector<milliseconds>{seconds(1), seconds(2), seconds(4), seconds(8)}));
  Pass(seconds(60));
  tokens_.Sweep();
  EXPECT_EQ(tokens_.size(), 0U) << "it is remembered for ever";
}

TEST_F(AccessTokensTest, ACallerWhosePurchaseFailsGivesWayToThoseItPaused) {
  const Wanted theirs{.client_id = "orders", .scope = "theirs", .resource = {}};
  const auto get = [this](const std::string& caller, const Wanted& wanted) {
    tokens_.Get(wanted, {.caller = caller, .minimum_validity = seconds(30), .deadline = now_.load() + seconds(10)},
                [this](Result<AccessTokenPtr> token) { got_.push_back(std::move(token)); });
  };
  get("uid:1", theirs);
  Answer(std::unexpected(Down()));
  get("uid:2", kOrders);
  EXPECT_EQ(asked_.size(), 1U);  // the client pauses
  Pass(seconds(1));
  get("uid:1", theirs);
  EXPECT_EQ(asked_.size(), 1U);  // the other's turn
  EXPECT_EQ(got_.back().error().retry_delay, seconds(1));
  get("uid:2", kOrders);
  ASSERT_EQ(asked_.size(), 2U);
  EXPECT_EQ(asked_.back().wanted, kOrders);
  Answer(Token("t"));
  EXPECT_EQ(TextOf(got_.back()), "t");
  get("uid:1", theirs);
  EXPECT_EQ(asked_.size(), 3U);
}

TEST_F(AccessTokensTest, ACallerWhoIsAloneProbesEachSecond) {
  Get(seconds(30));
  Answer(std::unexpected(Down()));
  Get(seconds(30));
  Pass(seconds(1));
  Get(seconds(30));
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(AccessTokensTest, ARefusalOfOneRequestIsNoChangeOfTheClient) {
  Get(seconds(30));
  Answer(std::unexpected(Refusal{.error = {.code = Code::kFailedPrecondition, .message = "scope", .detail = {}}}));
  EXPECT_TRUE(states_.empty());
}

TEST_F(AccessTokensTest, ARefusedScopeDoesNotPauseTheOthers) {
  Get(seconds(30), {}, {.client_id = "orders", .scope = "wrong", .resource = {}});
  auto refused = Down();
  refused.of_client = false;
  Answer(std::unexpected(refused));
  Get(seconds(30));
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(AccessTokensTest, WaitingCallsLeaveAtTheirDeadlineAndWhenTheirCallerDoes) {
  bool gone = false;
  Get(seconds(30), [&gone] { return gone; });
  Get(seconds(30));
  tokens_.Sweep();
  EXPECT_TRUE(got_.empty());
  gone = true;
  tokens_.Sweep();
  ASSERT_EQ(got_.size(), 1U);
  EXPECT_EQ(got_[0].error().code, Code::kCancelled);
  Pass(seconds(10));
  tokens_.Sweep();
  ASSERT_EQ(got_.size(), 2U);
  EXPECT_EQ(got_[1].error().code, Code::kDeadlineExceeded);
  Answer(Token("late"));
  Get(seconds(30));
  EXPECT_EQ(TextOf(got_.back()), "late");
}

TEST_F(AccessTokensTest, ACallThatGrpcEndsAtItsDeadlineHasNotLeft) {
  Get(seconds(30), [] { return true; });
  Pass(seconds(10));
  tokens_.Sweep();
  ASSERT_EQ(got_.size(), 1U);
  EXPECT_EQ(got_[0].error().code, Code::kDeadlineExceeded);
}

TEST_F(AccessTokensTest, APurchaseIsWantedWhileOneWaitsOrATokenIsHeld) {
  Get(seconds(30));
  EXPECT_FALSE(asked_.at(0).is_unwanted());
  Answer(Token("one"));
  Pass(seconds(245));
  Get(seconds(30));  // nobody waits for the renewal
  ASSERT_EQ(asked_.size(), 2U);
  EXPECT_FALSE(asked_.at(1).is_unwanted());
  Pass(seconds(60));
  tokens_.Sweep();
  EXPECT_TRUE(asked_.at(1).is_unwanted());
  tokens_.Sweep();
  EXPECT_EQ(tokens_.size(), 0U) << "a purchase that is over takes a place";
  Get(seconds(30));
  ASSERT_EQ(asked_.size(), 3U) << "a purchase that is over is waited for";
  EXPECT_FALSE(asked_.at(2).is_unwanted());
  tokens_.Forget([](const std::string& /*client*/) { return true; },
                 [](const std::string& /*client*/) { return false; });
  EXPECT_TRUE(asked_.at(2).is_unwanted());
  EXPECT_EQ(tokens_.Read().at("orders").purchases, (std::array<std::uint64_t, 5>{1, 0, 0, 0, 0}));
}

TEST_F(AccessTokensTest, AReloadDropsTokensAndWhatIsBeingBought) {
  Get(seconds(30));
  tokens_.Forget([](const std::string& client) { return client == "orders"; },
                 [](const std::string& /*client*/) { return false; });
  ASSERT_EQ(got_.size(), 1U);
  ASSERT_TRUE(got_[0]) << got_[0].error().message;
  EXPECT_EQ(*got_[0], nullptr) << "the asker is not told to ask again";
  Answer(Token("of the configuration of before"));
  EXPECT_EQ(tokens_.size(), 0U);
  Get(seconds(30));
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(AccessTokensTest, TheEndOfAFailureIsToldAfterAReloadToo) {
  Get(seconds(30));
  Answer(std::unexpected(Down()));
  tokens_.Forget([](const std::string& /*client*/) { return true; },
                 [](const std::string& /*client*/) { return false; });
  Get(seconds(30));
  Answer(Token("one"));
  EXPECT_EQ(states_, (std::vector<bool>{false, true}));
}

TEST_F(AccessTokensTest, AnotherReasonOfAFailureIsToldToo) {
  auto refused = Down();
  refused.error.message = "invalid_client";
  for (const auto& refusal : {refused, refused, Down()}) {
    Get(seconds(30));
    Answer(std::unexpected(refusal));
    Pass(seconds(10));
  }
  EXPECT_EQ(states_, (std::vector{false, false})) << "one line for each reason, not one for each try";
}

TEST_F(AccessTokensTest, ExpiredTokensAreDropped) {
  Get(seconds(30));
  Answer(Token("one"));
  got_.clear();
  Pass(seconds(300));
  tokens_.Sweep();
  EXPECT_EQ(tokens_.size(), 0U);
}

TEST_F(AccessTokensTest, TokensAndWaitersAreBounded) {
  auto options = Options();
  options.most_tokens = 2;
  options.most_waiters = 2;
  AccessTokens few(std::move(options));
  std::vector<Code> codes;
  for (const auto* client : {"a", "b", "c", "a"}) {
    few.Get({.client_id = client, .scope = "read", .resource = {}}, {.deadline = now_.load() + seconds(1)},
            [&](const Result<AccessTokenPtr>& token) { codes.push_back(token.error().code); });
  }
  EXPECT_EQ(codes, (std::vector{Code::kResourceExhausted, Code::kResourceExhausted}));
  Pass(seconds(1));
  few.Sweep();
}

TEST_F(AccessTokensTest, AnAskAtTheLengthOfATokensLifeBuysOnce) {
  for (const auto minimum : {seconds(300), seconds(299)}) {
    AccessTokens tokens(Options());
    asked_.clear();
    for (int i = 0; i < 100; ++i) {
      std::optional<Result<AccessTokenPtr>> got;
      tokens.Get(kOrders, {.minimum_validity = minimum, .deadline = now_.load() + seconds(10)},
                 [&](Result<AccessTokenPtr> token) { got = std::move(token); });
      if (!got) {
        Pass(milliseconds(20));  // the identity server's answer
        Answer(Token("short"));
      }
      ASSERT_TRUE(got);
      ASSERT_TRUE(*got || got->error().code == Code::kFailedPrecondition);
      Pass(seconds(1));
    }
    EXPECT_EQ(asked_.size(), 1U) << minimum.count();
  }
}

TEST_F(AccessTokensTest, AnAskForMoreThanASlowServerLeavesIsToldHowMuchAndBuysOnceALife) {
  std::string told;
  for (int i = 0; i < 100; ++i, Pass(milliseconds(100))) {
    const auto before = asked_.size();
    Get(seconds(9));
    if (asked_.size() > before) {
      Pass(milliseconds(1500));
      Answer(Token("brief", seconds(10)));
    }
    ASSERT_FALSE(got_.back());
    EXPECT_EQ(got_.back().error().code, Code::kFailedPrecondition);
    told = got_.back().error().message;
  }
  EXPECT_EQ(
      told,
      "minimum_validity: the identity server's tokens are valid for 10 s, and its answer took 1.5 s, so 9 s cannot "
      "be had; ask for at most 7 s");
  EXPECT_EQ(asked_.size(), 2U);
  const auto before = asked_.size();
  Get(seconds(7));
  if (asked_.size() > before) {
    Pass(milliseconds(1500));
    Answer(Token("brief", seconds(10)));
  }
  EXPECT_EQ(TextOf(got_.back()), "brief") << "what was told cannot be had";
}

// The order waits for its turn longer than the token lives.
TEST_F(AccessTokensTest, TheWaitForTheRequestTakesNothingOfTheTokensLife) {
  Get(seconds(30));
  Pass(seconds(65));
  auto bought = Token("one", seconds(60));
  bought.asked = now_.load();
  Pass(seconds(2));
  Answer(std::move(bought));
  ASSERT_TRUE(got_.back()) << TextOf(got_.back());
  EXPECT_EQ((*got_.back())->expires - now_.load(), seconds(58));
  Pass(seconds(14));
  Get(seconds(30));
  EXPECT_EQ(TextOf(got_.back()), "one");
  EXPECT_EQ(asked_.size(), 2U) << "the next order, which will wait as long, is late";
}

TEST_F(AccessTokensTest, OneSlowAnswerRefusesNobody) {
  Get(seconds(30));
  Answer(Token("one", seconds(60)));
  Pass(seconds(31));
  Get(seconds(30));
  Pass(seconds(40));
  Answer(Token("late", seconds(60)));
  EXPECT_FALSE(got_.back());
  Get(seconds(30));
  ASSERT_EQ(asked_.size(), 3U) << got_.back().error().message;
}

struct Renewing {
  seconds lifetime;
  seconds minimum;
  milliseconds answer;
  std::size_t most;  // purchases in ten lives
};

// Five calls a second. Every tenth asks for `minimum`, the others for 1 s.
TEST_F(AccessTokensTest, NobodyWaitsForTheRenewalThoughOneAsksForMuch) {
  for (const auto& [lifetime, minimum, answer, most] :
       {Renewing{.lifetime = seconds(100), .minimum = seconds(60), .answer = milliseconds(1500), .most = 31},
        Renewing{.lifetime = seconds(100), .minimum = seconds(90), .answer = milliseconds(1500), .most = 170},
        Renewing{.lifetime = seconds(300), .minimum = seconds(270), .answer = milliseconds(500), .most = 120},
        Renewing{.lifetime = seconds(10), .minimum = seconds(6), .answer = milliseconds(700), .most = 50}}) {
    AccessTokens tokens(Options());
    asked_.clear();
    std::optional<Instant> due;
    int call = 0;
    int waiting = 0;
    for (const auto end = now_.load() + 10 * lifetime; now_.load() < end; Pass(milliseconds(200)), ++call) {
      if (due && now_.load() >= *due) {
        due.reset();
        Answer(Token("next", lifetime));
      }
      const auto before = asked_.size();
      ++waiting;
      tokens.Get(kOrders,
                 {.minimum_validity = call % 10 == 0 ? minimum : seconds(1), .deadline = now_.load() + seconds(10)},
                 [&](const Result<AccessTokenPtr>& token) {
                   --waiting;
                   EXPECT_TRUE(token) << TextOf(token);
                 });
      if (asked_.size() > before) {
        due = now_.load() + answer;
      }
      ASSERT_TRUE(waiting == 0 || asked_.size() == 1)
          << "life " << lifetime.count() << " s, minimum " << minimum.count() << " s: waits at call " << call;
    }
    EXPECT_LE(asked_.size(), most) << lifetime.count();
  }
}

// A minimum is forgotten with the asker: after two lives the others renew as before.
TEST_F(AccessTokensTest, ALargeMinimumIsForgotten) {
  const auto purchases = [this](seconds minimum, seconds time) {
    const auto before = asked_.size();
    for (const auto end = now_.load() + time; now_.load() < end; Pass(seconds(1))) {
      const auto first = asked_.size();
      Get(minimum);
      if (asked_.size() > first) {
        Answer(Token("next", seconds(100)));
      }
    }
    return asked_.size() - before;
  };
  EXPECT_GE(purchases(seconds(80), seconds(400)), 20U);
  purchases(seconds(1), seconds(200));
  EXPECT_LE(purchases(seconds(1), seconds(400)), 5U);
}

TEST_F(AccessTokensTest, AnAskAboveHalfOfATokensLifeBuysOnceATenth) {
  for (int i = 0; i < 3000; ++i, Pass(milliseconds(100))) {
    const auto before = asked_.size();
    Get(seconds(270));
    if (asked_.size() > before) {
      Answer(Token("next"));
    }
    ASSERT_TRUE(got_.back()) << TextOf(got_.back());
  }
  EXPECT_LE(asked_.size(), 12U);
}

TEST_F(AccessTokensTest, AStopIsCalledAStop) {
  Get(seconds(30));
  tokens_.Close();
  ASSERT_EQ(got_.size(), 1U);
  EXPECT_TRUE(got_[0].error().message.starts_with("the server is stopping")) << got_[0].error().message;
}

}  // namespace
}  // namespace assertion::tokens
