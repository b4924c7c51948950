#include "keys/approvals.h"

#include <gtest/gtest.h>

#include "replica.h"
#include "softhsm.h"

namespace assertion {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class ApprovalsTest : public testing::Test {
 protected:
  ApprovalsTest()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        replica_(hsm_.token(), *certifier_, {Named("orders"), Named("billing", Binding::kJwks)}, now_),
        administration_(
            [this] {
              return std::vector<AdministeredHsm>{
                  {.name = "test", .token = hsm_.token(), .keys = replica_.ring(), .custodian = replica_.custodian()}};
            },
            [this](std::string_view /*client_id*/) {
              meanwhile_();
              return NewKeyRules{.algorithm = kAlgorithms.data(), .limits = {}};
            }),
        approvals_(administration_, hsm_.token(), RandomOctets, /*read_request=*/{}),
        of_another_server_(administration_, hsm_.token(), RandomOctets, /*read_request=*/{}) {}

  KeyChange Generation(const std::string& hsm = "") const {
    return KeyGeneration{
        .change = replica_.Change("orders"),
        .key = {.algorithm = {}, .bits = 0, .common_name = {}, .certificate_validity = {}, .hsm = hsm}};
  }

  PendingChange Proposed() {
    auto pending = approvals_.Propose(ann_, Generation(), hours(1));
    EXPECT_TRUE(pending) << pending.error().ToString();
    return *pending;
  }

  static bool Allowed(const Caller& /*requester*/) { return true; }

  std::size_t Keys() { return replica_.ring().Snapshot()->at("orders").keys.size(); }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{seconds(1'800'000'000)};
  Replica replica_;
  KeyAdministration administration_;
  std::function<void()> meanwhile_ = [] {};  // called while a key is being made
  Approvals approvals_;
  Approvals of_another_server_;
  const Caller ann_ = Caller::Authenticated({"uid:1", "dns:ann.example.org"});
  const Caller ben_ = Caller::Authenticated({"uid:2"});
};

TEST_F(ApprovalsTest, TheSecondPersonMakesTheChangeOnce) {
  const auto pending = Proposed();
  EXPECT_EQ(Keys(), 0U);
  const auto decision = approvals_.Approve(ben_, pending.id, pending.digest, Allowed);
  ASSERT_TRUE(decision.result) << decision.result.error().ToString();
  EXPECT_EQ(Keys(), 1U);
  EXPECT_EQ(decision.change->id, pending.id);
  EXPECT_EQ(decision.result->key->entry.record.kid, replica_.ring().Snapshot()->at("orders").keys.front().record.kid);
  EXPECT_TRUE(decision.kept);
  const auto again = approvals_.Approve(ben_, pending.id, pending.digest, Allowed);
  EXPECT_EQ(again.result.error().code, Code::kNotFound);
  EXPECT_FALSE(again.change);
  EXPECT_EQ(Keys(), 1U);
}

TEST_F(ApprovalsTest, NoIdentityOfTheRequesterApproves) {
  const auto pending = Proposed();
  for (const auto& caller : {ann_, Caller::Authenticated({"uid:3", "dns:ann.example.org"})}) {
    const auto decision = approvals_.Approve(caller, pending.id, pending.digest, Allowed);
    EXPECT_EQ(decision.result.error().code, Code::kPermissionDenied);
    EXPECT_EQ(decision.change->id, pending.id);
  }
  EXPECT_EQ(Keys(), 0U);
}

TEST_F(ApprovalsTest, ARequesterThatMayNotChangeKeysAnyMoreGetsNothing) {
  const auto pending = Proposed();
  const auto decision = approvals_.Approve(ben_, pending.id, pending.digest, [](const Caller& requester) {
    EXPECT_EQ(requester.name(), "uid:1");
    return false;
  });
  EXPECT_EQ(decision.result.error().message, "who asked for this change may not change keys any more");
  EXPECT_EQ(Keys(), 0U);
  EXPECT_EQ(approvals_.List()->size(), 1U);
}

TEST_F(ApprovalsTest, AChangeThatExpiresIsAnsweredOnce) {
  const auto pending = Proposed();
  EXPECT_TRUE(approvals_.RemoveExpired()->empty());
  now_ += hours(1);
  const auto removed = *approvals_.RemoveExpired();
  ASSERT_EQ(removed.size(), 1U);
  EXPECT_EQ(removed.front().id, pending.id);
  EXPECT_EQ(removed.front().requested_by, ann_.identities());
  EXPECT_TRUE(approvals_.RemoveExpired()->empty());
}

TEST_F(ApprovalsTest, AChangeWhoseTimeEndsDuringItsApprovalIsNotExpired) {
  const auto pending = Proposed();
  const auto decision = approvals_.Approve(ben_, pending.id, pending.digest, [&](const Caller& /*requester*/) {
    now_ += hours(1);
    EXPECT_TRUE(approvals_.RemoveExpired()->empty());
    return true;
  });
  ASSERT_TRUE(decision.result) << decision.result.error().ToString();
  EXPECT_TRUE(approvals_.RemoveExpired()->empty());
}

TEST_F(ApprovalsTest, AChangeThatCannotBeMadeIsNotProposed) {
  EXPECT_EQ(approvals_.Propose(ann_, Generation("nowhere"), hours(1)).error().message,
            "hsm: no HSM named \"nowhere\" (available: test)");
  const KeyChange revocation = KeyRevocation{.change = replica_.Change("orders"), .kid = "none"};
  EXPECT_EQ(approvals_.Propose(ann_, revocation, hours(1)).error().code, Code::kNotFound);
  EXPECT_TRUE(approvals_.List()->empty());
}

// Its approver could not force it, only the operator who asks.
TEST_F(ApprovalsTest, AChangeThatLacksForceIsRefusedWhenItIsAskedFor) {
  const auto kid = replica_.Generate("orders");
  const auto propose = [&](KeyChange change, bool forced) {
    std::visit([&](auto& one) { one.change.forced = forced; }, change);
    const auto pending = approvals_.Propose(ann_, std::move(change), hours(1));
    return pending ? "waits" : pending.error().message;
  };
  const auto change = replica_.Change("orders");
  EXPECT_TRUE(propose(KeyRevocation{.change = change, .kid = kid}, false).contains("without a signing key"));
  EXPECT_TRUE(propose(KeyDestruction{.change = change, .kid = kid}, false).contains("revoke it first"));
  EXPECT_TRUE(
      propose(
          KeyRescheduling{
              .change = change,
              .kid = kid,
              .instants = {.publish_from = {}, .sign_from = {}, .sign_until = now_ + hours(1), .publish_until = {}}},
          false)
          .contains("without a signing key"));
  EXPECT_TRUE(approvals_.List()->empty());
  EXPECT_EQ(propose(KeyRevocation{.change = change, .kid = kid}, true), "waits");
  EXPECT_EQ(propose(KeyDestruction{.change = change, .kid = kid}, true), "waits");
}

TEST_F(ApprovalsTest, ARepeatedRequestAnswersWithTheChangeThatWaits) {
  auto change = std::get<KeyGeneration>(Generation());
  change.change.request_id = "r1";
  change.change.digest = "first";
  const auto first = approvals_.Propose(ann_, change, hours(1));
  ASSERT_TRUE(first) << first.error().ToString();
  change.change.expected_version += 1;  // read anew by the one that repeats the request
  const auto again = approvals_.Propose(ann_, change, hours(1));
  EXPECT_EQ(again ? again->id : again.error().message, first->id);
  EXPECT_EQ(again ? again->digest : "", first->digest);
  EXPECT_EQ(approvals_.List()->size(), 1U);

  EXPECT_NE(approvals_.Propose(ben_, change, hours(1))->id, first->id) << "another operator's id";
  change.change.digest = "second";
  EXPECT_EQ(approvals_.Propose(ann_, change, hours(1)).error().message,
            "request_id: was used for another request, your change " + first->id +
                " (GenerateKey), which waits: leave it out, or choose another");
  EXPECT_EQ(approvals_.List()->size(), 2U);
}

// Both were asked for "now": what the second person approves is an instant.
TEST_F(ApprovalsTest, AnApprovedChangeIsNoRepetitionOfOneInTheSameWords) {
  const auto decide = [&](Time sign_from) {
    auto change = replica_.Change("orders");
    change.request_id = "r1";
    change.digest = "words";
    const auto pending = approvals_.Propose(
        ann_,
        KeyRotation{
            .change = std::move(change), .key = std::get<KeyGeneration>(Generation()).key, .sign_from = sign_from},
        hours(1));
    EXPECT_TRUE(pending) << pending.error().ToString();
    return approvals_.Approve(ben_, pending->id, pending->digest, Allowed).result;
  };
  EXPECT_TRUE(decide(now_));
  EXPECT_EQ(Keys(), 1U);
  const auto second = decide(now_ + hours(1));
  EXPECT_TRUE(second
                  ? false
                  : second.error().message.starts_with("request_id: was used for another request for client 'orders'"));
  EXPECT_EQ(Keys(), 1U);
}

TEST_F(ApprovalsTest, AnApprovalCannotOutrunAnotherOrAWithdrawal) {
  const auto pending = Proposed();
  const auto decision = approvals_.Approve(ben_, pending.id, pending.digest, [&](const Caller& /*requester*/) {
    const auto inner = approvals_.Approve(ben_, pending.id, pending.digest, Allowed);
    EXPECT_EQ(inner.result.error().code, Code::kAborted);
    EXPECT_EQ(approvals_.Withdraw(ann_, pending.id, /*is_approver=*/false).result.error().code, Code::kAborted);
    return true;
  });
  EXPECT_TRUE(decision.result) << decision.result.error().ToString();
  EXPECT_EQ(Keys(), 1U);
}

// The attacker's: one server makes a key of 4,096 bits for seconds, and another answers that the change is withdrawn.
TEST_F(ApprovalsTest, AChangeThatIsBeingMadeIsNotWithdrawnAtAnotherServer) {
  const auto pending = Proposed();
  int tries = 0;
  meanwhile_ = [&] {
    ++tries;
    EXPECT_EQ(of_another_server_.Withdraw(ann_, pending.id, /*is_approver=*/false).result.error().code,
              Code::kNotFound);
    EXPECT_EQ(of_another_server_.Approve(ben_, pending.id, pending.digest, Allowed).result.error().code,
              Code::kNotFound);
  };
  const auto decision = approvals_.Approve(ben_, pending.id, pending.digest, Allowed);
  EXPECT_TRUE(decision.result) << decision.result.error().ToString();
  EXPECT_EQ(tries, 1);
  EXPECT_EQ(Keys(), 1U);
}

TEST_F(ApprovalsTest, AChangeThatCannotBeMadeWaitsOn) {
  const auto pending = Proposed();
  replica_.Generate("orders");
  for (int i = 0; i < 2; ++i) {
    const auto decision = of_another_server_.Approve(ben_, pending.id, pending.digest, Allowed);
    EXPECT_EQ(decision.result.error().code, Code::kAborted);
    EXPECT_TRUE(decision.kept);
  }
  EXPECT_EQ(approvals_.List()->at(0).digest, pending.digest);
  EXPECT_TRUE(approvals_.Withdraw(ann_, pending.id, /*is_approver=*/false).result);
  EXPECT_TRUE(approvals_.List()->empty());
}

TEST_F(ApprovalsTest, OnlyTheRequesterOrAnApproverWithdraws) {
  const auto first = Proposed();
  EXPECT_EQ(approvals_.Withdraw(ben_, first.id, /*is_approver=*/false).result.error().code, Code::kPermissionDenied);
  EXPECT_TRUE(approvals_.Withdraw(ann_, first.id, /*is_approver=*/false).result);
  const auto second = Proposed();
  EXPECT_TRUE(approvals_.Withdraw(ben_, second.id, /*is_approver=*/true).result);
  EXPECT_EQ(approvals_.Withdraw(ben_, second.id, /*is_approver=*/true).result.error().code, Code::kNotFound);
}

TEST_F(ApprovalsTest, ARevocationIsKnownBeforeItIsApproved) {
  const auto kid = replica_.Generate("orders");
  auto change = replica_.Change("orders");
  change.forced = true;
  const auto revocation = approvals_.Propose(ann_, KeyRevocation{.change = std::move(change), .kid = kid}, hours(1));
  ASSERT_TRUE(revocation) << revocation.error().ToString();
  EXPECT_TRUE(approvals_.IsRevocation(revocation->id));
  EXPECT_FALSE(approvals_.IsRevocation(Proposed().id));
  EXPECT_FALSE(approvals_.IsRevocation("none"));
}

}  // namespace
}  // namespace assertion
