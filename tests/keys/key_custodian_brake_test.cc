// The emergency brake beside another administrator: each interleaving of both at one token.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <latch>
#include <thread>
#include <utility>

#include "keys/stray.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kLedgers = "assertiond ledger";
constexpr const char* kClaims = "assertiond claim";
constexpr Patience kImpatient{.longest = milliseconds(1), .takes_over = true};

// Lets something else happen right before or after a ledger is stored, once.
class InterruptedToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override {
    const auto happen = [&](std::function<void()>& event) {
      if (application == kLedgers && event) {
        std::exchange(event, nullptr)();
      }
    };
    happen(before);
    auto stored = WrappedToken::StoreData(application, label, value);
    happen(after);
    return stored;
  }
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override {
    auto made = WrappedToken::GenerateKeyPair(key);
    if (generated) {
      generated();
    }
    return made;
  }

  std::function<void()> before;
  std::function<void()> after;
  std::function<void()> generated;
};

class BrakeTest : public testing::Test {
 protected:
  BrakeTest()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        token_(hsm_.token()),
        reader_(Open(hsm_.token(), "reader")) {}

  std::unique_ptr<TokenLedger> Open(Token& token, const std::string& holder) {
    return *TokenLedger::Open(token, holder, [this] { return now_; }, RandomOctets);
  }
  std::size_t Claims() { return hsm_.token().FindData(kClaims, {})->size(); }
  std::int64_t Version() { return reader_->Read()->ledgers.at("orders").version; }

  // The next version, told apart by the id of a request.
  static ClientLedger Next(const Ledger::Hold& hold, const std::string& mark) {
    auto next = hold.current();
    next.version = hold.next_version();
    next.requests.push_back({.id = mark, .digest = {}, .kid = {}});
    return next;
  }
  bool IsMarked(const std::string& mark) {
    const auto ledger = reader_->Read()->ledgers.at("orders");
    return std::ranges::any_of(ledger.requests, [&](const auto& request) { return request.id == mark; });
  }
  void CommitFirst(Ledger& ledger) {
    const auto hold = *ledger.Take("orders");
    ASSERT_TRUE(hold->Commit(Next(*hold, "first")));
  }
  void Brake(Ledger& ledger, const std::string& mark = "brake") {
    const auto hold = ledger.Take("orders", kImpatient);
    ASSERT_TRUE(hold) << hold.error().ToString();
    const auto committed = (*hold)->Commit(Next(**hold, mark));
    ASSERT_TRUE(committed) << committed.error().ToString();
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  InterruptedToken token_;
  Time now_{seconds(1'800'000'000)};
  std::unique_ptr<TokenLedger> reader_;
};

TEST_F(BrakeTest, ItWaitsForASecondThenTakesTheClientOver) {
  const auto ledger = Open(hsm_.token(), "ordinary");
  const auto other = Open(hsm_.token(), "brake");
  CommitFirst(*ledger);
  const auto hold = *ledger->Take("orders");
  const auto began = std::chrono::steady_clock::now();
  {
    const auto brake = *other->Take("orders", kBrake);
    EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(900)) << "it lets others finish";
    EXPECT_EQ(brake->current().version, 1);
    EXPECT_EQ(brake->next_version(), 3);
    const auto lost = hold->Commit(Next(*hold, "ordinary"));
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, Code::kAborted);
    EXPECT_FALSE(hold->overtaken()) << "nothing was stored";
    EXPECT_EQ(Version(), 1);
    ASSERT_TRUE(brake->Commit(Next(*brake, "brake")));
  }
  EXPECT_FALSE(hold->Commit(Next(*hold, "ordinary")));
  EXPECT_EQ(Version(), 3);
  EXPECT_TRUE(IsMarked("brake"));
  EXPECT_FALSE(IsMarked("ordinary"));
}

TEST_F(BrakeTest, AloneItDoesNotWaitAndTakesTheNextVersion) {
  const auto ledger = Open(hsm_.token(), "brake");
  CommitFirst(*ledger);
  const auto hold = *ledger->Take("orders", kBrake);
  EXPECT_EQ(hold->next_version(), 2);
}

TEST_F(BrakeTest, ACommitThatArrivesLateIsOutranked) {
  const auto ledger = Open(token_, "ordinary");
  const auto other = Open(hsm_.token(), "brake");
  CommitFirst(*ledger);
  const auto hold = *ledger->Take("orders");
  token_.before = [&] { Brake(*other); };  // after the look at its own claim, before it stores
  const auto late = hold->Commit(Next(*hold, "ordinary"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kAborted);
  EXPECT_TRUE(hold->overtaken()) << "it cannot know what the brake read";
  EXPECT_EQ(Version(), 3);
  EXPECT_TRUE(IsMarked("brake"));
  EXPECT_FALSE(IsMarked("ordinary"));
}

// As of an older ledger that is accepted: above all that was seen, and so above the brake's.
TEST_F(BrakeTest, ACommitOfAHigherVersionThatArrivesLateIsTakenOffAgain) {
  const auto ledger = Open(token_, "ordinary");
  const auto other = Open(hsm_.token(), "brake");
  CommitFirst(*ledger);
  const auto hold = *ledger->Take("orders");
  token_.before = [&] { Brake(*other); };
  auto accepted = Next(*hold, "accepted");
  accepted.version = 100;
  EXPECT_FALSE(hold->Commit(accepted));
  EXPECT_TRUE(hold->overtaken());
  EXPECT_EQ(Version(), 3);
  EXPECT_TRUE(IsMarked("brake"));
  EXPECT_FALSE(IsMarked("accepted"));
}

TEST_F(BrakeTest, WhatWasStoredBeforeItLivesOn) {
  const auto ledger = Open(token_, "ordinary");
  const auto other = Open(hsm_.token(), "brake");
  CommitFirst(*ledger);
  const auto hold = *ledger->Take("orders");
  token_.after = [&] { Brake(*other); };
  EXPECT_FALSE(hold->Commit(Next(*hold, "ordinary")));
  EXPECT_TRUE(hold->overtaken());
  EXPECT_EQ(Version(), 4);
  EXPECT_TRUE(IsMarked("brake"));
  EXPECT_TRUE(IsMarked("ordinary"));
}

TEST_F(BrakeTest, OneBrakeTakesOverFromAnother) {
  const auto ordinary = Open(hsm_.token(), "ordinary");
  const auto first = Open(token_, "first");
  const auto second = Open(hsm_.token(), "second");
  CommitFirst(*ordinary);
  const auto hold = *ordinary->Take("orders");
  const auto brake = *first->Take("orders", kImpatient);
  EXPECT_EQ(brake->next_version(), 3);
  token_.before = [&] { Brake(*second, "second"); };
  const auto late = brake->Commit(Next(*brake, "first brake"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kAborted);
  EXPECT_EQ(Version(), 4);
  EXPECT_TRUE(IsMarked("second"));
  EXPECT_FALSE(IsMarked("first brake"));
  EXPECT_FALSE(hold->Commit(Next(*hold, "ordinary")));
}

TEST_F(BrakeTest, ItLeavesNoClaimAndNobodyWaitsForItLater) {
  const auto ledger = Open(hsm_.token(), "ordinary");
  const auto other = Open(hsm_.token(), "brake");
  {
    const auto hold = *ledger->Take("orders");
    Brake(*other);
  }
  EXPECT_EQ(Claims(), 0U);
  const auto hold = *ledger->Take("orders");
  EXPECT_TRUE(hold->Commit(Next(*hold, "ordinary")));
  EXPECT_TRUE(IsMarked("brake"));
  EXPECT_TRUE(IsMarked("ordinary"));
}

// A token that counts what is stored for nobody's client.
class TouchCounter final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override {
    touches += label == "touch" ? 1 : 0;
    return WrappedToken::StoreData(application, label, value);
  }
  int touches = 0;
};

TEST_F(BrakeTest, AnotherProcesssLockDoesNotStopIt) {
  TouchCounter token(hsm_.token());
  const auto ledger = Open(token, "brake");
  CommitFirst(*ledger);
  const auto folder = std::filesystem::directory_iterator(token.lock_directory());
  const Descriptor held(open(folder->path().c_str(), O_RDWR | O_CLOEXEC));  // not known to MachineLock: as of another
  ASSERT_EQ(flock(held.get(), LOCK_EX | LOCK_NB), 0);
  Brake(*ledger);
  EXPECT_EQ(Version(), 2);
  ASSERT_TRUE(ledger->Read());
  EXPECT_EQ(token.touches, 0) << "the other is not done";
  ASSERT_EQ(flock(held.get(), LOCK_UN), 0);
  ASSERT_TRUE(ledger->Read());
  ASSERT_TRUE(ledger->Read());
  EXPECT_EQ(token.touches, 1);
  EXPECT_EQ(Claims(), 0U);
}

TEST_F(BrakeTest, ItPassesALongGenerationOfItsOwnProcess) {
  Replica replica(token_, *certifier_, {Named("orders")}, now_);
  const auto kid = replica.Generate("orders");
  std::promise<void> begun;
  std::latch go(1);
  token_.generated = [&] {
    begun.set_value();
    go.wait();
  };
  const auto change = replica.Change("orders");
  auto generation =
      std::async(std::launch::async, [&] { return replica.custodian().Generate(change, Replica::NewKey()); });
  begun.get_future().wait();
  const auto revoked = replica.custodian().Revoke(replica.Change("orders", true), kid);
  EXPECT_TRUE(revoked) << revoked.error().ToString();
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  go.count_down();
  const auto generated = generation.get();
  ASSERT_FALSE(generated);
  EXPECT_EQ(generated.error().code, Code::kAborted);
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  EXPECT_TRUE(FindStrays(hsm_.token(), {"orders"}, replica.ledger().Read()->ledgers)->empty());
}

// What the brake's ledger may still name is not destroyed by a change that it overtook.
TEST_F(BrakeTest, AnOvertakenChangeDestroysNothing) {
  Replica ordinary(token_, *certifier_, {Named("orders")}, now_, "ordinary");
  Replica other(hsm_.token(), *certifier_, {Named("orders")}, now_, "brake");
  const auto kid = ordinary.Generate("orders");
  const auto staged = ordinary.Generate("orders");
  ASSERT_TRUE(other.ring().Refresh());
  token_.before = [&] {
    const auto revoked = other.custodian().Revoke(other.Change("orders", true), kid);
    ASSERT_TRUE(revoked) << revoked.error().ToString();
  };
  const auto destroyed = ordinary.custodian().Destroy(ordinary.Change("orders", true), staged);
  ASSERT_FALSE(destroyed);
  EXPECT_EQ(destroyed.error().code, Code::kAborted);
  Replica restarted(hsm_.token(), *certifier_, {Named("orders")}, now_, "restarted");
  EXPECT_EQ(restarted.Record("orders", kid).StateAt(now_), KeyState::kWithdrawn);
  EXPECT_TRUE(restarted.ring().Find("orders", staged)->key) << "named, so it must be there";
}

// A token that answers a search for objects only when it is told to.
class SlowToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  Result<std::vector<ListedObject>> List(std::span<const std::string_view> applications) override {
    if (auto* wait = wait_.exchange(nullptr)) {
      asked_.count_down();
      wait->wait();
    }
    return WrappedToken::List(applications);
  }

  void WaitFor(std::latch& answer) { wait_ = &answer; }
  void AwaitSearch() { asked_.wait(); }

 private:
  std::atomic<std::latch*> wait_ = nullptr;
  std::latch asked_{1};
};

TEST_F(BrakeTest, ARevokedKeySignsNoMoreWhileTheKeysAreRead) {
  SlowToken token(hsm_.token());
  Replica replica(token, *certifier_, {Named("orders")}, now_);
  const auto kid = replica.Generate("orders");
  const auto key = *replica.ring().SigningKeyOf("orders");
  std::latch answer(1);
  token.WaitFor(answer);
  auto refresh = std::async(std::launch::async, [&] { return replica.ring().Refresh(); });
  token.AwaitSearch();
  const auto revoked = replica.custodian().Revoke(replica.Change("orders", /*forced=*/true), kid);
  EXPECT_TRUE(revoked) << revoked.error().ToString();
  EXPECT_FALSE(replica.ring().IsGood(*key));
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  answer.count_down();
  EXPECT_TRUE(refresh.get());
  EXPECT_FALSE(replica.ring().IsGood(*key)) << "what was read before does not bring it back";
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_FALSE(replica.ring().IsGood(*key));
}

// The HSM fails when it signs with one key.
class KeyFailsToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  void FailWith(Bytes id) { id_ = std::move(id); }

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    return std::make_unique<Session>(*WrappedToken::OpenSigningSession(), id_);
  }

 private:
  class Session final : public SigningSession {
   public:
    Session(std::unique_ptr<SigningSession> real, Bytes id) : real_(std::move(real)), id_(std::move(id)) {}
    Result<Bytes> Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) override {
      return id == id_ ? Fail(Code::kUnavailable, "the HSM is not available; try again")
                       : real_->Sign(id, algorithm, input);
    }

   private:
    std::unique_ptr<SigningSession> real_;
    const Bytes id_;
  };

  Bytes id_;
};

TEST_F(BrakeTest, ARevokedKeySignsNoMoreWhereAnotherOfItsClientFails) {
  Replica here(hsm_.token(), *certifier_, {Named("orders"), Named("billing")}, now_, "here");
  const auto kid = here.Generate("orders");
  const auto staged = here.Record("orders", here.Generate("orders")).id;
  KeyFailsToken token(hsm_.token());
  Replica there(token, *certifier_, {Named("orders"), Named("billing")}, now_, "there");
  const auto key = *there.ring().SigningKeyOf("orders");
  ASSERT_EQ(key->kid, kid);
  token.FailWith(staged);
  ASSERT_TRUE(here.custodian().Revoke(here.Change("orders", /*forced=*/true), kid));
  EXPECT_FALSE(there.ring().Refresh());
  EXPECT_FALSE(there.ring().IsGood(*key));
  EXPECT_FALSE(there.ring().SigningKeyOf("orders"));
  const auto made = there.custodian().Generate(there.Change("billing"), Replica::NewKey());
  ASSERT_TRUE(made) << "another client's change: " << made.error().ToString();
  ASSERT_TRUE(there.custodian().Revoke(there.Change("billing", /*forced=*/true), *made));
  const auto again = there.custodian().Revoke(there.Change("billing", /*forced=*/true), *made);
  EXPECT_TRUE(again) << "nothing to store: " << again.error().ToString();
}

// The answer of the first was lost.
TEST_F(BrakeTest, ARepeatedRevocationCountsAlsoWhereAnotherServerMadeIt) {
  Replica there(hsm_.token(), *certifier_, {Named("orders")}, now_, "there");
  const auto kid = there.Generate("orders");
  SlowToken token(hsm_.token());
  Replica here(token, *certifier_, {Named("orders")}, now_, "here");
  const auto key = *here.ring().SigningKeyOf("orders");
  auto change = there.Change("orders", /*forced=*/true);
  change.request_id = "once";
  ASSERT_TRUE(there.custodian().Revoke(change, kid));
  std::latch answer(1);
  token.WaitFor(answer);
  auto refresh = std::async(std::launch::async, [&] { return here.ring().Refresh(); });
  token.AwaitSearch();
  EXPECT_TRUE(here.custodian().Revoke(change, kid));
  EXPECT_FALSE(here.ring().IsGood(*key));
  answer.count_down();
  EXPECT_TRUE(refresh.get());
  EXPECT_FALSE(here.ring().IsGood(*key));
}

// An answer that fails says nothing about the claim.
class StutteringToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override {
    fails_ = fails_ || application == kLedgers;
    return WrappedToken::StoreData(application, label, value);
  }
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override {
    if (application == kClaims && std::exchange(fails_, false)) {
      return Fail(Code::kUnavailable, "the HSM is not available; try again");
    }
    return WrappedToken::FindData(application, label);
  }

 private:
  bool fails_ = false;
};

TEST_F(BrakeTest, ASearchForTheClaimThatFailsOnceUndoesNothing) {
  StutteringToken token(hsm_.token());
  Replica replica(token, *certifier_, {Named("orders")}, now_);
  const auto made = replica.custodian().Generate(replica.Change("orders"), Replica::NewKey());
  EXPECT_TRUE(made) << made.error().ToString();
}

}  // namespace
}  // namespace assertion
