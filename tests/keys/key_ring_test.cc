#include "keys/key_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "key_ring_fixture.h"
#include "keys/seal.h"

namespace assertion {
namespace {

class KeyRingTest : public KeyRingFixture {};

TEST_F(KeyRingTest, AClientWithoutAKeyFailsItsOwnCallsOnly) {
  hsm_.MakeKey("billing", {1}, true, false);
  Enter("billing", Bytes{1});
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_TRUE((*ring)->SigningKeyOf("billing"));
  const auto none = (*ring)->SigningKeyOf("orders");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kFailedPrecondition);
}

TEST_F(KeyRingTest, ARefreshThatIsDueDoesNotWaitForTheInterval) {
  const auto ring = *Load();
  std::promise<Status> first;
  ring->KeepFresh(std::chrono::hours(1), [&, told = false](const Status& refreshed) mutable {
    if (!std::exchange(told, true)) {
      first.set_value(refreshed);
    }
  });
  Replica(hsm_.token(), *certifier_, clients_, now_).Generate("orders");
  ring->RepeatRefresh({});
  EXPECT_TRUE(first.get_future().get());
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
  ring->StopRefreshing();
}

// A token that is back signs at once; a proof that met its bad moment must not keep the key out until the next
// interval.
TEST_F(KeyRingTest, AKeyWhoseProofFailedIsTriedAgainSoon) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  WrongToken token(hsm_.token());
  const auto ring = *Load(token);
  ExpectFlaw(*ring, Code::kKeyUnproven, "did not make a signature");
  std::promise<void> signs;
  ring->KeepFresh(std::chrono::hours(1), [&, told = false](const Status&) mutable {
    token.Recover();
    if (ring->SigningKeyOf("orders") && !std::exchange(told, true)) {
      signs.set_value();
    }
  });
  EXPECT_EQ(signs.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
  ring->StopRefreshing();
}

TEST_F(KeyRingTest, AnOwnKeyThatIsNeededAndGoneIsAMissingObject) {
  const auto make = [&](std::string_view label, Bytes id) {
    const auto& algorithm = kAlgorithms.front();
    ASSERT_TRUE(hsm_.token().GenerateKeyPair(
        {.label = std::string(label), .id = std::move(id), .algorithm = &algorithm, .bits = 2048}));
  };
  make(kTlsKeyLabel, {1});
  make(kTlsKeyLabel, {2});
  make(kTlsKeyLabel, {3});
  make(kLedgerKeyLabel, {4});
  const auto ring = *Load();
  ring->Need(kTlsKeyLabel, {1});
  ring->Need(kTlsKeyLabel, {2});  // in place of the first
  ASSERT_TRUE(ring->Refresh());
  EXPECT_FALSE(ring->LacksObjects());
  ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{1}));
  ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{3}));
  ASSERT_TRUE(ring->Refresh());
  EXPECT_FALSE(ring->LacksObjects());
  ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{2}));
  ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{4}));  // each ledger key that was seen is needed
  ASSERT_TRUE(ring->Refresh());
  EXPECT_TRUE(ring->LacksObjects());
  EXPECT_EQ(*ring->MissingOwnKeys(),
            (std::vector<std::string>{"'assertiond-tls' with CKA_ID 02", "'assertiond-ledger' with CKA_ID 04"}));
  make(kTlsKeyLabel, {2});
  make(kLedgerKeyLabel, {4});
  ASSERT_TRUE(ring->Refresh());
  EXPECT_FALSE(ring->LacksObjects());
}

TEST_F(KeyRingTest, AKeyThatWasWellAndIsNotFoundWaitsForItsReturn) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto kid = replica.Generate("orders");
  const auto waits = [&] { return replica.ring().WaitsFor("orders", *replica.ring().Find("orders", kid)); };
  EXPECT_EQ(waits(), "");
  const auto id = replica.ring().Find("orders", kid)->record.id;
  ASSERT_TRUE(hsm_.token().DestroyKey(id));
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_TRUE(waits().starts_with("its return: ")) << waits();
  EXPECT_TRUE(waits().ends_with("is in the ledger but not on the token")) << waits();
  EXPECT_TRUE(replica.ring().WaitingClients().contains("orders"));
}

// A token that shows no object for a while, as some do until their module is loaded again, which changes the handles.
class AwayToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  void GoAway() { away_ = true; }
  void Return() {
    ++loads_;
    away_ = false;
  }

  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    auto contents = away_ ? TokenContents() : WrappedToken::Read(labels, ids);
    for (std::size_t i = 0; contents && i < contents->keys.size(); ++i) {
      contents->keys[i].private_key.epoch += loads_;
    }
    return contents;
  }
  Result<std::vector<ListedObject>> List(std::span<const std::string_view> applications) override {
    return away_ ? std::vector<ListedObject>() : WrappedToken::List(applications);
  }

 private:
  std::atomic<bool> away_ = false;
  std::atomic<unsigned> loads_ = 0;
};

TEST_F(KeyRingTest, StraysAreNotGoneWhileTheTokenHidesItsObjects) {
  hsm_.MakeKey("orders", {1}, true, true);
  Enter("orders", Bytes{1});
  hsm_.MakeKey("orders", {2}, true, true);
  AwayToken token(hsm_.token());
  const auto ring = *Load(token);
  std::promise<void> over;
  bool kept = true;
  ring->KeepFresh(std::chrono::milliseconds(5), [&, looks = 0](const Status&) mutable {
    constexpr int kLeaves = 1;
    constexpr int kReturns = 4;
    constexpr int kEnds = 8;
    if (looks > 0 || !ring->Strays()->empty()) {
      ++looks;
      kept = kept && !ring->Strays()->empty();
    }
    if (looks == kLeaves) {
      token.GoAway();
    } else if (looks == kReturns) {
      token.Return();
    } else if (looks == kEnds) {
      over.set_value();
    }
  });
  EXPECT_EQ(over.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
  ring->StopRefreshing();
  EXPECT_TRUE(kept);
}

TEST_F(KeyRingTest, AKeyThatIsInNoLedgerIsNotUsed) {
  hsm_.MakeKey("orders", {1}, true, true);
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_FALSE((*ring)->SigningKeyOf("orders"));
}

TEST_F(KeyRingTest, WithAnExpiredCertificateOnlyThoseSignWhoseBindingSaysSo) {
  clients_[1].sign_with_expired_certificate = true;
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.Generate("orders");
  replica.Generate("billing");
  now_ += std::chrono::days(30);
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));
  now_ += std::chrono::seconds(1);
  const auto expired = replica.ring().SigningKeyOf("orders");
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Code::kFailedPrecondition);
  EXPECT_NE(expired.error().message.find("expired on"), std::string::npos) << expired.error().message;
  EXPECT_TRUE(replica.ring().SigningKeyOf("billing"));
}

TEST_F(KeyRingTest, AnUnfitKeyStopsNoChangeOfClients) {
  Replica(hsm_.token(), *certifier_, clients_, now_).Generate("orders");
  const auto ring = *Load();
  hsm_.MakeKey("unfit", {9}, /*sensitive=*/true, /*extractable=*/true);
  Enter("unfit", {9});
  ASSERT_TRUE(ring->Reconfigure({Named("orders"), Named("unfit")}));
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
  const auto refused = ring->SigningKeyOf("unfit");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("CKA_EXTRACTABLE is true"), std::string::npos) << refused.error().message;

  ASSERT_TRUE(ring->Reconfigure({Named("late")}));
  EXPECT_FALSE(ring->FindClient("orders"));
  EXPECT_FALSE(ring->SigningKeyOf("orders"));
  EXPECT_EQ(ring->VersionOf("late"), 0);
  ASSERT_TRUE(ring->Reconfigure({Named("late"), Named("orders")}));
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
}

// Each refresh notices new and removed objects even if the ledger has not changed.
TEST_F(KeyRingTest, ASecondPrivateKeyStopsItsClientAtTheNextRefreshUntilItIsGone) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto id = replica.Record("orders", replica.Generate("orders")).id;
  replica.Generate("billing");
  hsm_.MakeKey("somebody else", id, true, false);
  ASSERT_TRUE(replica.ring().Refresh());
  ExpectFlaw(replica.ring(), Code::kKeyAmbiguous, "the token holds 2 private keys with CKA_ID");
  EXPECT_TRUE(replica.ring().SigningKeyOf("billing"));
  ExpectFlaw(Code::kKeyAmbiguous, "the token holds 2 private keys with CKA_ID");

  const auto second = hsm_.token().Read({"somebody else"});
  ASSERT_TRUE(hsm_.token().DestroyObject(second->keys.front().private_key));
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));
}

class PublishedKeysTest : public KeyRingFixture {
 protected:
  PublishedKeysTest() {
    clients_ = {Named("orders")};
    clients_[0].binding = Binding::kJwks;
    hsm_.MakeKey("orders", {1}, true, false);
    Enter("orders", Bytes{1});
  }

  // Enters a next key that signs `lead` after it is published, with a ledger that arrives `late` after it was made.
  void EnterNext(std::chrono::seconds late, std::chrono::seconds lead) {
    hsm_.MakeKey("orders", {2}, true, false);
    const auto contents = hsm_.token().Read({"orders"});
    ASSERT_TRUE(contents);
    const auto key = std::ranges::find(contents->keys, Bytes{2}, &TokenKey::id);
    ASSERT_NE(key, contents->keys.end());
    const auto published = now_;
    now_ += late;
    const auto hold = ledger_->Take("orders");
    ASSERT_TRUE(hold);
    auto next = (*hold)->current();
    ++next.version;
    next.keys[0].sign_until = published + lead;
    next.keys[0].publish_until = published + lead + clients_[0].publish_overlap();
    next.keys.push_back({.kid = jws::JwkThumbprint(key->public_key),
                         .algorithm = kAlgorithms.data(),
                         .id = Bytes{2},
                         .certificates = {},
                         .publish_from = published,
                         .sign_from = published + lead});
    ASSERT_TRUE((*hold)->Commit(next));
  }
};

TEST_F(PublishedKeysTest, WhatCouldNotBeReadForMostOfPublishLeadCountsNoMore) {
  clients_[0].publish_lead = std::chrono::seconds(2);
  const auto ring = *Load();
  EXPECT_GT(ring->CountsUntil("orders"), std::chrono::steady_clock::now());
  const auto key = *ring->SigningKeyOf("orders");
  EXPECT_TRUE(ring->IsGood(*key));
  std::this_thread::sleep_until(ring->CountsUntil("orders"));
  const auto refused = ring->SigningKeyOf("orders");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_FALSE(ring->IsGood(*key)) << "what waits for its release, too";
  ASSERT_TRUE(ring->Refresh());
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
}

TEST_F(PublishedKeysTest, OfACertificateItCountsUntilTheNextLook) {
  clients_[0].binding = Binding::kCertificate;
  EXPECT_EQ((*Load())->CountsUntil("orders"), std::chrono::steady_clock::time_point::max());
}

TEST_F(PublishedKeysTest, AKeyWhoseLedgerCameInTimeSignsAsItSays) {
  const auto ring = *Load();
  const auto lead = clients_[0].publish_lead;
  EnterNext(lead / 5, lead);
  ASSERT_TRUE(ring->Refresh());
  now_ += lead - lead / 5;
  const auto key = ring->SigningKeyOf("orders");
  ASSERT_TRUE(key);
  EXPECT_EQ((*key)->id, Bytes{2});
}

TEST_F(PublishedKeysTest, AKeyWhoseLedgerCameLateIsHeldBack) {
  const auto ring = *Load();
  const auto lead = clients_[0].publish_lead;
  EnterNext(lead / 2, lead);
  ASSERT_TRUE(ring->Refresh());
  const auto seen = now_;
  now_ = seen + lead / 2;
  const auto refused = ring->SigningKeyOf("orders");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  ASSERT_TRUE(ring->Refresh());
  EXPECT_FALSE(ring->SigningKeyOf("orders")) << "another look does not change that";
  now_ = seen + lead * 3 / 4;
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
}

TEST_F(PublishedKeysTest, OneThatWasForcedToSignEarlyIsNot) {
  const auto ring = *Load();
  EnterNext(std::chrono::seconds(1), std::chrono::seconds(1));
  ASSERT_TRUE(ring->Refresh());
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
}

TEST_F(KeyRingTest, ALedgerThatGoesBackIsNotTakenOver) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto kid = replica.Generate("orders");
  const auto objects = hsm_.token().FindData("assertiond ledger", "orders");
  ASSERT_TRUE(objects);
  ASSERT_EQ(objects->size(), 1U);
  ASSERT_TRUE(hsm_.token().DestroyObject(objects->front().handle));
  const auto refreshed = replica.ring().Refresh();
  ASSERT_FALSE(refreshed);
  EXPECT_EQ(refreshed.error().code, Code::kLedgerUnusable);
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
}

TEST_F(KeyRingTest, ALedgerThatCannotBeUsedStopsItsClientAlone) {
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    replica.Generate("orders");
    replica.Generate("billing");
  }
  Seal seal(hsm_.token(), RandomOctets);
  ASSERT_TRUE(hsm_.token().StoreData("assertiond ledger", "orders", *seal.Sign(Seal::kLedger, "{}")));
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_TRUE((*ring)->SigningKeyOf("billing"));
  EXPECT_EQ((*ring)->SigningKeyOf("orders").error().message, "the ledger of client 'orders' cannot be read");
  EXPECT_TRUE((*ring)->Reconfigure({Named("orders"), Named("billing"), Named("late")}));
  EXPECT_TRUE((*ring)->FindClient("late"));
}

// The audit log remembers versions that this process has not seen itself.
TEST_F(KeyRingTest, ALedgerOlderThanWhatWasSeenBeforeStopsItsClientAlone) {
  std::string old;
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    replica.Generate("orders");
    replica.Generate("billing");
    old = hsm_.token().FindData("assertiond ledger", "orders")->front().value;
    replica.Generate("orders");
  }
  // An attacker with the PIN restores an older signed ledger.
  const auto objects = *hsm_.token().FindData("assertiond ledger", "orders");
  for (const auto& object : objects) {
    ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
  }
  ASSERT_TRUE(hsm_.token().StoreData("assertiond ledger", "orders", old));

  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));  // the older ledger verifies
  std::map<std::string, std::int64_t> seen;
  replica.ring().Remember({{"orders", 2}, {"billing", 1}},
                          [&](const ClientLedger& ledger) { seen[ledger.client_id] = ledger.version; });
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  EXPECT_TRUE(replica.ring().SigningKeyOf("billing"));
  EXPECT_EQ(seen, (std::map<std::string, std::int64_t>{{"billing", 1}}));
  const auto refreshed = replica.ring().Refresh();
  ASSERT_FALSE(refreshed);
  EXPECT_EQ(refreshed.error().message,
            "the ledger of client 'orders' is of version 1 now, but version 2 was seen before: it was rolled back, or "
            "lost; restore the later one, or see assertionctl key accept-ledger");
  auto change = replica.Change("orders");
  change.expected_version = 1;
  EXPECT_EQ(replica.custodian().Generate(change, Replica::NewKey()).error().code, Code::kFailedPrecondition);
  replica.Generate("billing");
  EXPECT_EQ(seen.at("billing"), 2);

  // The later ledgers are back.
  for (const auto& object : objects) {
    ASSERT_TRUE(hsm_.token().StoreData("assertiond ledger", "orders", object.value));
  }
  EXPECT_TRUE(replica.ring().Refresh());
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));
  EXPECT_EQ(seen.at("orders"), 2);
}

TEST_F(KeyRingTest, ALedgerThatWasSeenAndIsGoneIsNotOneWithoutKeys) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.ring().Remember({{"orders", 2}}, {});
  EXPECT_EQ(replica.ring().Refresh().error().code, Code::kLedgerUnusable);
  EXPECT_EQ(replica.custodian().Generate(replica.Change("orders"), Replica::NewKey()).error().code,
            Code::kFailedPrecondition);
  EXPECT_TRUE(hsm_.token().Read({"orders"})->keys.empty());
}

TEST_F(KeyRingTest, EachVersionNamesTheOneBefore) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.Generate("orders");
  const auto first = replica.ledger().Read()->ledgers.at("orders");
  EXPECT_EQ(first.previous, "");
  replica.Generate("orders");
  EXPECT_EQ(replica.ledger().Read()->ledgers.at("orders").previous, HashOf(first));
}

}  // namespace
}  // namespace assertion
