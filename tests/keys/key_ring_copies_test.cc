// The ring of a second HSM: copies of the first one's keys for the binding `certificate`, its own for `jwks`.

#include <gtest/gtest.h>

#include "replica.h"
#include "two_tokens.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

// Shows a boolean attribute of a client's keys otherwise than it is.
class LyingToken final : public WrappedToken {
 public:
  LyingToken(Token& real, std::string attribute, bool value)
      : WrappedToken(real), attribute_(std::move(attribute)), value_(value) {}

  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    auto contents = WrappedToken::Read(labels, ids);
    for (auto& key : contents->keys) {
      for (auto& attribute : key.attributes) {
        const bool lies = key.label == "orders" && attribute.name == attribute_;
        attribute.value = lies ? value_ : attribute.value;
      }
    }
    return contents;
  }

 private:
  const std::string attribute_;
  const bool value_;
};

// Signs with another key than the one that it is asked for, as a stale handle would.
class SwappingToken final : public WrappedToken {
 public:
  SwappingToken(Token& real, Bytes one, Bytes other)
      : WrappedToken(real), one_(std::move(one)), other_(std::move(other)) {}

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    return std::make_unique<Session>(*WrappedToken::OpenSigningSession(), one_, other_);
  }

 private:
  class Session final : public SigningSession {
   public:
    Session(std::unique_ptr<SigningSession> real, Bytes one, Bytes other)
        : real_(std::move(real)), one_(std::move(one)), other_(std::move(other)) {}
    Result<Bytes> Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) override {
      return real_->Sign(id == one_ ? other_ : id, algorithm, input);
    }

   private:
    std::unique_ptr<SigningSession> real_;
    const Bytes one_;
    const Bytes other_;
  };

  const Bytes one_;
  const Bytes other_;
};

class CopiesTest : public testing::Test {
 protected:
  CopiesTest() : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)) {}

  void OpenFirst() { first_.emplace(hsm_.east(), *certifier_, clients_, now_); }

  // With a key of `orders` in the east, which the west then holds a copy of.
  void Clone() {
    OpenFirst();
    kid_ = first_->Generate("orders");
    first_.reset();
    hsm_.CloneEast();
    OpenFirst();
  }

  Replica Second(Token& token) { return {token, *certifier_, clients_, now_, "second", &first_->ring()}; }

  // Of the copy of the key that signs.
  std::string FlawOf(Token& token) {
    auto second = Second(token);
    const auto entry = second.ring().Find("orders", kid_);
    EXPECT_TRUE(entry) << entry.error().ToString();
    EXPECT_EQ(entry->flaw.has_value(), !entry->key);
    EXPECT_EQ(second.ring().SigningKeyOf("orders").has_value(), entry->key != nullptr);
    return entry->flaw ? entry->flaw->ToString() : "";
  }

  TwoTokens hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{std::chrono::seconds(1'800'000'000)};
  std::vector<Client> clients_ = {Named("orders"), Named("billing", Binding::kJwks)};
  std::optional<Replica> first_;
  std::string kid_;
};

TEST_F(CopiesTest, ACopySignsUnderTheOriginalsName) {
  Clone();
  auto second = Second(hsm_.west());
  const auto key = second.ring().SigningKeyOf("orders");
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_EQ((*key)->kid, kid_);
  const auto session = *hsm_.west().OpenSigningSession();
  const auto signature = session->Sign((*key)->id, *(*key)->algorithm, "input");
  ASSERT_TRUE(signature);
  EXPECT_TRUE((*key)->verifier.Verify("input", *signature));
}

TEST_F(CopiesTest, WithoutACopyNothingSigns) {
  OpenFirst();
  kid_ = first_->Generate("orders");
  auto second = Second(hsm_.west());
  EXPECT_FALSE(second.ring().SigningKeyOf("orders"));
  EXPECT_TRUE(first_->ring().SigningKeyOf("orders"));
  EXPECT_FALSE(second.ring().Find("orders", kid_)->flaw) << "it is missing, not wrong";
}

TEST_F(CopiesTest, AnotherKeyInTheCopysPlaceIsRefused) {
  OpenFirst();
  kid_ = first_->Generate("orders");
  const auto original = *first_->ring().SigningKeyOf("orders");
  ASSERT_TRUE(hsm_.west().GenerateKeyPair(
      {.label = "orders", .id = original->id, .algorithm = kAlgorithms.data(), .bits = 2048}));
  EXPECT_NE(FlawOf(hsm_.west()).find("is another on the token"), std::string::npos);
}

TEST_F(CopiesTest, ACopyThatCanLeaveTheTokenIsRefused) {
  Clone();
  for (const auto& [attribute, value] :
       {std::pair("CKA_EXTRACTABLE", true), {"CKA_SENSITIVE", false}, {"CKA_SIGN", false}}) {
    LyingToken token(hsm_.west(), attribute, value);
    EXPECT_NE(FlawOf(token).find(std::string(attribute) + " is "), std::string::npos) << attribute;
  }
}

TEST_F(CopiesTest, WhereItWasBornTheOriginalTells) {
  Clone();
  for (const auto* attribute : {"CKA_LOCAL", "CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE"}) {
    LyingToken token(hsm_.west(), attribute, false);
    EXPECT_EQ(FlawOf(token), "") << attribute;
  }
}

TEST_F(CopiesTest, ACopyThatDoesNotSignIsRefused) {
  Clone();
  const auto other =
      hsm_.west().GenerateKeyPair({.label = "other", .id = {9}, .algorithm = kAlgorithms.data(), .bits = 2048});
  ASSERT_TRUE(other);
  SwappingToken token(hsm_.west(), (*first_->ring().SigningKeyOf("orders"))->id, other->id);
  EXPECT_NE(FlawOf(token).find("did not make a signature"), std::string::npos);
}

TEST_F(CopiesTest, WhatIsRevokedSignsNowhere) {
  Clone();
  auto second = Second(hsm_.west());
  ASSERT_TRUE(second.ring().SigningKeyOf("orders"));
  ASSERT_TRUE(first_->custodian().Revoke(first_->Change("orders", /*forced=*/true), kid_));
  EXPECT_FALSE(second.ring().SigningKeyOf("orders")) << "at once, before any refresh";
  EXPECT_TRUE(second.ring().Refresh());
  EXPECT_FALSE(second.ring().SigningKeyOf("orders"));
}

TEST_F(CopiesTest, WhatTheFirstMakesIsLookedForAtEachRefresh) {
  OpenFirst();
  auto second = Second(hsm_.west());
  kid_ = first_->Generate("orders");
  EXPECT_TRUE(second.ring().Refresh());
  EXPECT_EQ(second.VersionOf("orders"), first_->VersionOf("orders"));
  EXPECT_FALSE(second.ring().SigningKeyOf("orders"));
  const auto original = *first_->ring().SigningKeyOf("orders");
  ASSERT_TRUE(hsm_.west().GenerateKeyPair(
      {.label = "orders", .id = original->id, .algorithm = kAlgorithms.data(), .bits = 2048}));
  EXPECT_TRUE(second.ring().Refresh());
  EXPECT_TRUE(second.ring().Find("orders", kid_)->flaw) << "the version has not changed, and yet it was looked for";
}

TEST_F(CopiesTest, WithAJwkSetEachTokenHasItsOwn) {
  OpenFirst();
  auto second = Second(hsm_.west());
  const auto east = first_->Generate("billing");
  const auto west = second.Generate("billing");
  EXPECT_NE(east, west);
  EXPECT_EQ((*first_->ring().SigningKeyOf("billing"))->kid, east);
  EXPECT_EQ((*second.ring().SigningKeyOf("billing"))->kid, west);
}

TEST_F(CopiesTest, WhoIsAwayGetsItsClientsWhenItIsBack) {
  OpenFirst();
  auto second = Second(hsm_.west());
  clients_.push_back(Named("new", Binding::kJwks));
  for (auto* ring : {&first_->ring(), &second.ring()}) {
    ring->ReconfigureAtNextRefresh(clients_);
  }
  EXPECT_FALSE(second.ring().Snapshot()->contains("new"));
  EXPECT_TRUE(second.ring().Refresh());
  EXPECT_TRUE(second.ring().Snapshot()->contains("new"));
}

// It may have been attached while a reload of the configuration went over the others.
TEST_F(CopiesTest, TheClientsAreThoseOfTheFirstHsm) {
  OpenFirst();
  auto second = Second(hsm_.west());
  clients_.push_back(Named("late"));
  ASSERT_TRUE(first_->ring().Reconfigure(clients_));
  ASSERT_TRUE(second.ring().Refresh());
  EXPECT_TRUE(second.ring().FindClient("late"));
}

}  // namespace
}  // namespace assertion
