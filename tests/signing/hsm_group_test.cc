#include "signing/hsm_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>

#include "jws/compact.h"
#include "jws/jwk.h"
#include "keys/publication.h"
#include "policy/policy.h"
#include "replica.h"
#include "two_tokens.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// Fails, or holds, as long as it is told to.
class UnwellToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  void Fail(bool fails) { fails_ = fails; }
  void HoldUntil(std::latch* latch) { hold_ = latch; }
  int asked() const { return asked_; }

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    return std::make_unique<Session>(*this, *WrappedToken::OpenSigningSession());
  }

 private:
  class Session final : public SigningSession {
   public:
    Session(UnwellToken& token, std::unique_ptr<SigningSession> real) : token_(token), real_(std::move(real)) {}

    Result<Bytes> Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) override {
      ++token_.asked_;
      if (auto* hold = token_.hold_.load()) {
        hold->wait();
      }
      return token_.fails_ ? assertion::Fail(Code::kUnavailable, "the HSM is not available; try again")
                           : real_->Sign(id, algorithm, input);
    }

   private:
    UnwellToken& token_;
    std::unique_ptr<SigningSession> real_;
  };

  std::atomic<bool> fails_ = false;
  std::atomic<std::latch*> hold_ = nullptr;
  std::atomic<int> asked_ = 0;
};

class HsmGroupTest : public testing::Test {
 protected:
  HsmGroupTest()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        first_(tokens_.east(), *certifier_, clients_, now_),
        second_(tokens_.west(), *certifier_, clients_, now_, "second", &first_.ring()),
        east_kid_(first_.Generate("orders")),
        west_kid_(second_.Generate("orders")) {
    group_.Add(1, second_.With(west_queue_, "west"));
    group_.Add(0, first_.With(east_queue_, "east"));
  }

  std::future<Result<Assertion>> Submit(const std::string& client_id = "orders", seconds limit = seconds(30)) {
    auto promise = std::make_shared<std::promise<Result<Assertion>>>();
    auto made = promise->get_future();
    const auto accepted =
        group_.Submit({.claims = *policy_.ApproveTrial({.client_id = client_id, .audience = {}, .lifetime = {}}),
                       .caller = "caller",
                       .deadline = steady_clock::now() + limit,
                       .done = [promise](Result<Assertion> result) { promise->set_value(std::move(result)); },
                       .ticket = ticket_});
    if (!accepted) {
      promise->set_value(std::unexpected(accepted.error()));
    }
    return made;
  }

  // The kid of the key that signed, once its signature is verified and its header names it; else the error.
  static std::string SignedBy(const Result<Assertion>& made) {
    if (!made) {
      return made.error().message;
    }
    const auto jws = jws::ParseCompact(made->jws);
    EXPECT_TRUE(jws);
    EXPECT_EQ(jws->header["kid"], made->key->kid);
    EXPECT_TRUE(made->key->verifier.Verify(jws->signing_input, jws->signature));
    return made->key->kid;
  }

  const Time now_{seconds(1'800'000'000)};
  const std::vector<Client> clients_ = {Named("orders", Binding::kJwks), Named("one", Binding::kCertificate)};
  const Policy policy_{clients_, {}, [this] { return now_; }, RandomOctets};
  TwoTokens tokens_;
  std::unique_ptr<x509::Certifier> certifier_;
  Replica first_;
  Replica second_;
  const std::string east_kid_;
  const std::string west_kid_;
  std::latch hold_{1};  // outlives the workers that wait for it
  UnwellToken east_{tokens_.east()};
  UnwellToken west_{tokens_.west()};
  SigningQueue west_queue_{west_, {.sessions = 1, .capacity = 10}};
  SigningQueue east_queue_{east_, {.sessions = 1, .capacity = 10}};  // ends first: its workers submit to the other
  HsmGroup group_;
  std::shared_ptr<AssertionTicket> ticket_ = std::make_shared<AssertionTicket>();
};

const Error kAway{Code::kUnavailable, "the first is away", ""};

TEST_F(HsmGroupTest, TheFirstSignsWhileItIsWell) {
  EXPECT_EQ(SignedBy(Submit().get()), east_kid_);
  EXPECT_EQ(west_.asked(), 0);
}

TEST_F(HsmGroupTest, ThenTheNext) {
  east_queue_.Pause(kAway);
  EXPECT_EQ(SignedBy(Submit().get()), west_kid_);
  east_queue_.Resume();
  EXPECT_EQ(SignedBy(Submit().get()), east_kid_) << "back to the first";
}

TEST_F(HsmGroupTest, TheKeyOfTheNextSignatureIsKnownBefore) {
  const auto kid = [&] { return (*group_.SigningKeyOf("orders"))->kid; };
  EXPECT_EQ(kid(), east_kid_);
  east_queue_.Pause(kAway);
  EXPECT_EQ(kid(), west_kid_);
  west_queue_.Pause(kAway);
  EXPECT_EQ(kid(), east_kid_) << "none is well";
  EXPECT_EQ(group_.SigningKeyOf("nobody").error().code, Code::kFailedPrecondition);
}

TEST_F(HsmGroupTest, WhatTheFirstFailsTheNextDoesInTheSameCall) {
  east_.Fail(true);
  EXPECT_EQ(SignedBy(Submit().get()), west_kid_);
  EXPECT_EQ(east_.asked(), 2) << "once more on another session, as without a next one";
}

TEST_F(HsmGroupTest, WhatWaitsForTheFirstMovesWhenItIsLost) {
  east_.HoldUntil(&hold_);
  auto held = Submit();
  while (east_.asked() == 0) {
    std::this_thread::yield();
  }
  auto waiting = Submit();
  east_queue_.Pause(kAway);
  EXPECT_EQ(SignedBy(waiting.get()), west_kid_);
  EXPECT_EQ(SignedBy(held.get()), west_kid_) << "it was in the hands of a call that hangs";
  hold_.count_down();
}

TEST_F(HsmGroupTest, WhatARevokedKeySignsIsMadeAnew) {
  east_.HoldUntil(&hold_);
  auto held = Submit();
  while (east_.asked() == 0) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(first_.custodian().Revoke(first_.Change("orders", true), east_kid_));
  hold_.count_down();
  EXPECT_EQ(SignedBy(held.get()), west_kid_);
}

TEST_F(HsmGroupTest, WhatAKeySignsThatStopsMeanwhileIsReleased) {
  east_.HoldUntil(&hold_);
  auto held = Submit();
  while (east_.asked() == 0) {
    std::this_thread::yield();
  }
  const auto next = first_.Generate("orders");
  ASSERT_TRUE(
      first_.custodian().Reschedule(first_.Change("orders", true), next,
                                    {.publish_from = {}, .sign_from = now_, .sign_until = {}, .publish_until = {}}));
  ASSERT_EQ((*first_.ring().SigningKeyOf("orders"))->kid, next);
  hold_.count_down();
  EXPECT_EQ(SignedBy(held.get()), east_kid_);
}

TEST_F(HsmGroupTest, WhenNoneIsWellTheFirstSaysWhy) {
  east_queue_.Pause(kAway);
  west_queue_.Pause({Code::kUnavailable, "the second is away, too", ""});
  EXPECT_EQ(SignedBy(Submit().get()), "the first is away");
  east_queue_.Resume();
  east_.Fail(true);
  EXPECT_EQ(SignedBy(Submit().get()), "the HSM is not available; try again");
}

TEST_F(HsmGroupTest, WithoutAKeyAnywhereTheClientHears) {
  const auto made = Submit("one").get();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kFailedPrecondition);
}

TEST_F(HsmGroupTest, WhereTheNextHasNoKeyTheFirstOnesErrorStands) {
  first_.Generate("one");
  EXPECT_EQ(SignedBy(Submit("one").get()), (*first_.ring().SigningKeyOf("one"))->kid);
  east_queue_.Pause(kAway);
  EXPECT_EQ(SignedBy(Submit("one").get()), "the first is away");
}

TEST_F(HsmGroupTest, ItIsCancelledWhereverItWaits) {
  west_.HoldUntil(&hold_);
  east_queue_.Pause(kAway);
  auto held = Submit();
  while (west_.asked() == 0) {
    std::this_thread::yield();
  }
  ticket_ = std::make_shared<AssertionTicket>();
  auto waiting = Submit();
  HsmGroup::Cancel(*ticket_);
  const auto cancelled = waiting.get();
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, Code::kCancelled);
  const auto afterwards = Submit().get();
  ASSERT_FALSE(afterwards) << "the ticket is cancelled already";
  EXPECT_EQ(afterwards.error().code, Code::kCancelled);
  hold_.count_down();
  EXPECT_EQ(SignedBy(held.get()), west_kid_);
}

TEST_F(HsmGroupTest, AllKeysAreShown) {
  const auto jwks = JwkSet(group_.KeysOf("orders"), now_);
  EXPECT_NE(jwks.find(east_kid_), std::string::npos);
  EXPECT_NE(jwks.find(west_kid_), std::string::npos);
}

TEST_F(HsmGroupTest, AKeyIsFoundOnTheHsmThatHoldsIt) {
  EXPECT_EQ(group_.Find("orders", west_kid_)->hsm->name, "west");
  EXPECT_EQ(group_.Find("orders", "")->entry.record.kid, east_kid_);
  const auto none = group_.Find("orders", "no such kid");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
  EXPECT_EQ((*group_.ByName("west"))->name, "west");
  EXPECT_EQ((*group_.ByName(""))->name, "east");
  EXPECT_NE(group_.ByName("north").error().message.find("east, west"), std::string::npos);
}

}  // namespace
}  // namespace assertion
