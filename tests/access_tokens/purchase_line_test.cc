// What becomes of a token whose purchase the audit log does not hold.
#include "tokens/purchase_line.h"

#include <gtest/gtest.h>

#include "access_tokens/access_tokens_fixture.h"

namespace assertion::tokens {
namespace {

Status Full() { return Fail(Code::kUnavailable, "the audit log cannot be written", "write: No space left on device"); }

class PurchaseLineTest : public AccessTokensTest {
 protected:
  // A purchase whose line is recorded and not durable yet.
  Bought Pending(std::string_view text) {
    auto bought = Token(text);
    bought.line = line_;
    return bought;
  }

  const std::shared_ptr<PurchaseLine> line_ = std::make_shared<PurchaseLine>();
};

TEST_F(PurchaseLineTest, ATokenLeavesOnceTheLineIsDurable) {
  EXPECT_FALSE(line_->WhyLost());
  ASSERT_FALSE(line_->CheckDurable()) << "the line is pending";
  EXPECT_EQ(line_->CheckDurable().error().code, Code::kUnavailable);
  line_->End({});
  EXPECT_FALSE(line_->WhyLost());
  EXPECT_TRUE(line_->CheckDurable());
}

TEST_F(PurchaseLineTest, ALostLineSaysWhy) {
  line_->End(Full());
  ASSERT_TRUE(line_->WhyLost());
  EXPECT_EQ(line_->WhyLost()->message, "the audit log cannot be written");
  ASSERT_FALSE(line_->CheckDurable());
  EXPECT_EQ(line_->CheckDurable().error().code, Code::kUnavailable);
  EXPECT_EQ(line_->CheckDurable().error().detail, "write: No space left on device");
}

TEST_F(PurchaseLineTest, ThoseWhoWaitGetTheTokenWithItsLine) {
  Get(seconds(30));
  Get(seconds(30));
  Answer(Pending("one"));
  ASSERT_EQ(got_.size(), 2U);
  for (const auto& got : got_) {
    ASSERT_TRUE(got);
    EXPECT_EQ((*got)->line, line_);
  }
}

TEST_F(PurchaseLineTest, ATokenWhoseLineIsLostIsHandedToNobodyAndBoughtAgainAfterAPause) {
  Get(seconds(30));
  Answer(Pending("lost"));
  line_->End(Full());
  Get(seconds(30));
  ASSERT_EQ(got_.size(), 2U);
  ASSERT_FALSE(got_.at(1)) << "the token was handed out";
  EXPECT_EQ(got_.at(1).error().message, "the audit log cannot be written");
  EXPECT_GT(got_.at(1).error().retry_delay, milliseconds(0));
  EXPECT_EQ(asked_.size(), 1U) << "a log that cannot be written must not make purchases";
  EXPECT_EQ(states_, std::vector{false});
  Pass(milliseconds(1050));
  Get(seconds(30));
  ASSERT_EQ(asked_.size(), 2U);
  Answer(Token("two"));
  EXPECT_EQ(TextOf(got_.at(2)), "two");
  EXPECT_EQ(states_, (std::vector{false, true}));
}

TEST_F(PurchaseLineTest, ATokenWhoseLineIsLostLeavesMemoryBeforeAnybodyAsks) {
  Get(seconds(30));
  Answer(Pending("lost"));
  tokens_.Sweep();
  EXPECT_EQ(tokens_.Read().at("orders").held, 1U);
  line_->End(Full());
  tokens_.Sweep();
  EXPECT_EQ(tokens_.Read().at("orders").held, 0U);
  EXPECT_EQ(states_, std::vector{false});
}

// A renewal whose line is lost costs nobody the token that is still valid.
TEST_F(PurchaseLineTest, ATokenServesOnWhenTheLineOfItsRenewalIsLost) {
  Get(seconds(30));
  Answer(Token("old"));
  Pass(seconds(270));
  Get(seconds(10));
  ASSERT_EQ(asked_.size(), 2U) << "it is renewed ahead of its expiry";
  Answer(Pending("lost"));
  tokens_.Sweep();
  EXPECT_EQ(tokens_.Read().at("orders").held, 2U) << "the old one stays until the line is durable";
  line_->End(Full());
  Get(seconds(10));
  EXPECT_EQ(TextOf(got_.back()), "old");
  EXPECT_EQ(asked_.size(), 2U) << "a log that cannot be written must not make purchases";
  EXPECT_EQ(states_, std::vector{false});
  tokens_.Sweep();
  EXPECT_EQ(tokens_.Read().at("orders").held, 1U);
  Pass(milliseconds(1050));
  Get(seconds(10));
  EXPECT_EQ(TextOf(got_.back()), "old");
  ASSERT_EQ(asked_.size(), 3U) << "the renewal is tried again";
  Answer(Token("new"));
  Get(seconds(30));
  EXPECT_EQ(TextOf(got_.back()), "new");
  EXPECT_EQ(tokens_.Read().at("orders").held, 1U);
  EXPECT_EQ(states_, (std::vector{false, true}));
}

// Two purchases while the log writes nothing: what is recorded stays, not the one between.
TEST_F(PurchaseLineTest, ARecordedTokenServesOnWhenTheLinesOfTwoRenewalsAreLost) {
  Get(seconds(30));
  Answer(Token("old"));
  Pass(seconds(270));
  Get(seconds(10));
  auto brief = Pending("between");
  brief.lifetime = seconds(20);
  Answer(std::move(brief));
  Pass(seconds(14));
  Get(seconds(5));
  ASSERT_EQ(asked_.size(), 3U) << "the short one is renewed in its turn";
  Answer(Pending("last"));
  EXPECT_EQ(tokens_.Read().at("orders").held, 2U);
  line_->End(Full());
  Get(seconds(10));
  EXPECT_EQ(TextOf(got_.back()), "old");
  EXPECT_EQ(asked_.size(), 3U);
}

TEST_F(PurchaseLineTest, AReplacedTokenLeavesMemoryOnceTheLineOfItsRenewalIsDurable) {
  Get(seconds(30));
  Answer(Token("old"));
  Pass(seconds(270));
  Get(seconds(10));
  Answer(Pending("new"));
  line_->End({});
  tokens_.Sweep();
  EXPECT_EQ(tokens_.Read().at("orders").held, 1U);
  Get(seconds(30));
  EXPECT_EQ(TextOf(got_.back()), "new");
}

// Neither the token nor what it replaced outlives the client.
TEST_F(PurchaseLineTest, AReplacedTokenIsForgottenWithItsClient) {
  Get(seconds(30));
  Answer(Token("old"));
  Pass(seconds(270));
  Get(seconds(10));
  Answer(Pending("new"));
  tokens_.Forget([](const std::string&) { return true; }, [](const std::string&) { return false; });
  EXPECT_EQ(tokens_.Read().at("orders").held, 0U);
}

TEST_F(PurchaseLineTest, ATokenWhoseLineIsDurableServes) {
  Get(seconds(30));
  Answer(Pending("one"));
  line_->End({});
  tokens_.Sweep();
  Get(seconds(30));
  EXPECT_EQ(TextOf(got_.at(1)), "one");
}

}  // namespace
}  // namespace assertion::tokens
