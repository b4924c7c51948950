#include "access_tokens/access_tokens_fixture.h"

namespace assertion::tokens {
namespace {

// Of 80 places a client has 10.
class AccessTokensShareTest : public AccessTokensTest {
 protected:
  AccessTokensShareTest() {
    auto options = Options();
    options.most_tokens = 80;
    options.most_waiters = 80;
    few_.emplace(std::move(options));
  }

  // The error that the ask ended with; nothing: it waits.
  std::optional<Error> Ask(const std::string& client, int number) {
    auto ended = std::make_shared<std::optional<Error>>();
    few_->Get({.client_id = client, .scope = std::to_string(number), .resource = {}},
              {.deadline = now_.load() + seconds(10)}, [ended](const Result<AccessTokenPtr>& token) {
                *ended = token ? Error{.code = {}, .message = "granted", .detail = {}} : token.error();
              });
    return *ended;
  }

  std::optional<AccessTokens> few_;
};

TEST_F(AccessTokensShareTest, AClientAtItsShareOfTokensShutsOutNoOther) {
  for (int i = 0; i < 100; ++i) {
    const auto ended = Ask("greedy", i);
    ASSERT_EQ(ended.has_value(), i >= 10) << i;
    if (ended) {
      ASSERT_EQ(ended->code, Code::kResourceExhausted);
      ASSERT_EQ(ended->retry_delay, seconds(1));
    } else {
      Answer(Token("kept"));
    }
  }
  EXPECT_FALSE(Ask("victim", 0)) << "refused";
  Answer(Token("one"));
  EXPECT_EQ(Ask("victim", 0)->message, "granted");
  EXPECT_EQ(few_->size(), 11U);
}

TEST_F(AccessTokensShareTest, LargeTokensOfAClientAreBoundedInAll) {
  auto options = Options();
  options.most_octets = 8 * 1000;  // a client has 1,000
  few_.emplace(std::move(options));
  const std::string large(400, 't');
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(Ask("greedy", i)) << i;
    Answer(Token(large));
  }
  EXPECT_EQ(Ask("greedy", 2)->code, Code::kResourceExhausted) << "the third does not fit";
  EXPECT_EQ(Ask("greedy", 0)->message, "granted");
  EXPECT_FALSE(Ask("victim", 0)) << "refused";
  Pass(seconds(301));
  few_->Sweep();  // they expire, and their octets leave with them
  EXPECT_FALSE(Ask("greedy", 3)) << "refused";
  Answer(Token(large));
  EXPECT_EQ(Ask("greedy", 3)->message, "granted");
}

TEST_F(AccessTokensShareTest, AClientAtItsShareOfWaitersShutsOutNoOther) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Ask("greedy", 0).has_value(), i >= 10) << i;
  }
  EXPECT_FALSE(Ask("victim", 0)) << "refused";
  Pass(seconds(10));
  few_->Sweep();  // all waiters leave, and their places with them
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(Ask("greedy", 0)) << i;
  }
}

TEST_F(AccessTokensShareTest, WhatOnlyPausesMakesRoom) {
  auto refused = Down(std::chrono::hours(1));
  refused.of_client = false;
  for (int client = 0; client < 8; ++client) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_FALSE(Ask("greedy-" + std::to_string(client), i));
      Answer(std::unexpected(refused));
    }
  }
  EXPECT_EQ(few_->size(), 80U);
  EXPECT_FALSE(Ask("victim", 0)) << "refused";
  EXPECT_EQ(few_->size(), 1U);
}

TEST_F(AccessTokensShareTest, ThePausesOfAClientMakeRoomForItself) {
  auto refused = Down(std::chrono::hours(1));
  refused.of_client = false;
  ASSERT_FALSE(Ask("orders", 0));
  Answer(Token("kept"));
  for (int i = 1; i < 10; ++i) {
    ASSERT_FALSE(Ask("orders", i));
    Answer(std::unexpected(refused));
  }
  EXPECT_FALSE(Ask("orders", 10)) << "refused";
  EXPECT_EQ(Ask("orders", 0)->message, "granted");
  EXPECT_EQ(few_->size(), 2U);
}

TEST_F(AccessTokensShareTest, PlacesComeBackWithAReload) {
  const auto all = [](const std::string& /*client*/) { return true; };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_FALSE(Ask("orders", i)) << "refused";
    }
    ASSERT_TRUE(Ask("orders", 10));
    few_->Forget(all, all);
  }
  EXPECT_EQ(few_->Read().size(), 0U);
}

}  // namespace
}  // namespace assertion::tokens
