#include "keys/key_ring.h"

#include <gtest/gtest.h>

#include <map>

#include "certificate_authority.h"
#include "jws/thumbprint.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

constexpr Time kNow{std::chrono::seconds(1'800'000'000)};

class KeyRingTest : public testing::Test {
 protected:
  KeyRingTest()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        ledger_(*TokenLedger::Open(hsm_.token(), "test", [this] { return now_; }, RandomOctets)) {}

  Result<std::unique_ptr<KeyRing>> Load(Token& token) {
    return KeyRing::Load(token, *ledger_, clients_, [this] { return now_; }, RandomOctets);
  }
  Result<std::unique_ptr<KeyRing>> Load() { return Load(hsm_.token()); }

  // Enters a key that is on the token already, as signing.
  void Enter(const std::string& client_id, const Bytes& id, const std::vector<std::string>& certificates = {}) {
    const auto contents = hsm_.token().Read({client_id});
    ASSERT_TRUE(contents);
    const auto key = std::ranges::find(contents->keys, id, &TokenKey::id);
    ASSERT_NE(key, contents->keys.end());
    Enter(client_id, {.kid = jws::JwkThumbprint(key->public_key),
                      .algorithm = kAlgorithms.data(),
                      .id = id,
                      .certificates = certificates,
                      .publish_from = now_,
                      .sign_from = now_});
  }

  void Enter(const std::string& client_id, const KeyRecord& record) {
    const auto hold = ledger_->Take(client_id);
    ASSERT_TRUE(hold);
    auto next = (*hold)->current();
    ++next.version;
    next.keys.push_back(record);
    ASSERT_TRUE((*hold)->Commit(next));
  }

  void ExpectLoadFails(Code code, const std::string& part) {
    const auto ring = Load();
    ASSERT_FALSE(ring);
    EXPECT_EQ(ring.error().code, code);
    EXPECT_NE(ring.error().message.find(part), std::string::npos) << ring.error().message;
  }

  // The certificate of a key made for another client.
  Certificate Foreign() {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    const auto kid = replica.Generate("billing");
    return replica.ring().Find("billing", kid)->key->chain.at(0);
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_ = kNow;
  std::vector<Client> clients_ = {Named("orders"), Named("billing")};
  std::unique_ptr<TokenLedger> ledger_;
};

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

TEST_F(KeyRingTest, AKeyThatIsInNoLedgerIsNotUsed) {
  hsm_.MakeKey("orders", {1}, true, true);
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_FALSE((*ring)->SigningKeyOf("orders"));
}

TEST_F(KeyRingTest, TwoKeysOfOneIdAreAnError) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  hsm_.MakeKey("somebody else", {1}, true, false);
  ExpectLoadFails(Code::kKeyAmbiguous, "with CKA_ID 01");
}

TEST_F(KeyRingTest, AnExtractableKeyIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, true, true);
  Enter("orders", Bytes{1});
  ExpectLoadFails(Code::kKeyForbidden, "CKA_EXTRACTABLE is true, CKA_NEVER_EXTRACTABLE is false");
}

TEST_F(KeyRingTest, AKeyThatIsNotSensitiveIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, false, false);
  Enter("orders", Bytes{1});
  ExpectLoadFails(Code::kKeyForbidden, "CKA_SENSITIVE is false, CKA_ALWAYS_SENSITIVE is false");
}

TEST_F(KeyRingTest, AKeyThatTheTokenLacksIsRefused) {
  Enter("orders", {.kid = "gone",
                   .algorithm = kAlgorithms.data(),
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_});
  ExpectLoadFails(Code::kLedgerUnusable, "is in the ledger but not on the token");
}

TEST_F(KeyRingTest, AnotherKeyInItsPlaceIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", {.kid = "another",
                   .algorithm = kAlgorithms.data(),
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_});
  ExpectLoadFails(Code::kLedgerUnusable, "is another on the token than in the ledger");
}

TEST_F(KeyRingTest, AKeyThatDoesNotFitItsLedgersAlgorithmIsRefused) {
  const auto make = [&](const char* name, std::uint8_t id) {
    const auto* algorithm = FindAlgorithm(name);
    const auto made = hsm_.token().GenerateKeyPair(
        {.label = "orders", .id = {id}, .algorithm = algorithm, .bits = algorithm->default_key_bits()});
    EXPECT_TRUE(made) << made.error().ToString();
    return jws::JwkThumbprint(made->public_key);
  };
  struct Unfit {
    const char* ledger;
    const char* key;
  };
  std::uint8_t id = 0;
  for (const auto& [ledger, key] : {Unfit{"ES256", "ES384"},
                                    {"ES384", "ES256"},
                                    {"ES256", "EdDSA"},
                                    {"RS256", "ES256"},
                                    {"PS256", "EdDSA"},
                                    {"ES256", "RS256"}}) {
    SCOPED_TRACE(std::string(ledger) + " in the ledger, a key for " + key);
    KeyRecord record = {.kid = make(key, ++id),
                        .algorithm = FindAlgorithm(ledger),
                        .id = {id},
                        .certificates = {},
                        .publish_from = now_};
    Enter("orders", record);
    ExpectLoadFails(Code::kKeyUnproven,
                    "is not what the ledger says: the public key cannot be used for " + std::string(ledger));
    const auto hold = ledger_->Take("orders");
    ASSERT_TRUE(hold);
    auto next = (*hold)->current();
    ++next.version;
    next.keys.clear();
    ASSERT_TRUE((*hold)->Commit(next));
  }
}

TEST_F(KeyRingTest, AKeyOfEveryAlgorithmIsProven) {
  std::map<const Curve*, std::string> kids;
  for (const auto& algorithm : kAlgorithms) {
    const Bytes id = {algorithm.curve == nullptr ? std::uint8_t{9} : static_cast<std::uint8_t>(kids.size())};
    if (!kids.contains(algorithm.curve)) {
      const auto made = hsm_.token().GenerateKeyPair(
          {.label = "orders", .id = id, .algorithm = &algorithm, .bits = algorithm.default_key_bits()});
      ASSERT_TRUE(made) << made.error().ToString();
      kids[algorithm.curve] = jws::JwkThumbprint(made->public_key);
    }
    const auto hold = ledger_->Take("orders");
    ASSERT_TRUE(hold);
    auto next = (*hold)->current();
    ++next.version;
    next.keys = {{.kid = kids[algorithm.curve],
                  .algorithm = &algorithm,
                  .id = id,
                  .certificates = {},
                  .publish_from = now_,
                  .sign_from = now_}};
    ASSERT_TRUE((*hold)->Commit(next));
    const auto ring = Load();
    ASSERT_TRUE(ring) << algorithm.name << ": " << ring.error().ToString();
    const auto key = (*ring)->SigningKeyOf("orders");
    ASSERT_TRUE(key) << key.error().ToString();
    EXPECT_EQ((*key)->algorithm, &algorithm) << "the ledger keeps it";
    EXPECT_EQ((*key)->bits(), algorithm.default_key_bits());
  }
}

TEST_F(KeyRingTest, AWithdrawnKeyMayBeUnfitOrGone) {
  Enter("orders", {.kid = "gone",
                   .algorithm = kAlgorithms.data(),
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_,
                   .sign_until = now_,
                   .publish_until = now_});
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_FALSE((*ring)->Find("orders", "gone")->key);
}

TEST_F(KeyRingTest, AGoodKeyWithoutCertificateMaySign) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_TRUE((*(*ring)->SigningKeyOf("orders"))->chain.empty());
}

TEST_F(KeyRingTest, ACertificateOfAnotherKeyIsRefused) {
  const auto other = Foreign();
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, other.der));
  Enter("orders", {1}, {jws::Sha256Thumbprint(other.der)});
  ExpectLoadFails(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyRingTest, ACertificateOfAnotherKindOfKeyIsRefused) {
  const CertificateAuthority ec("orders", CertificateAuthority::kEc);
  const auto der = x509::ParsePem(ec.certificate())->der;
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, der));
  Enter("orders", {1}, {jws::Sha256Thumbprint(der)});
  ExpectLoadFails(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyRingTest, ACertificateThatIsNoneIsRefused) {
  const Bytes garbage = {0x30, 0x00};
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, garbage));
  Enter("orders", {1}, {jws::Sha256Thumbprint(garbage)});
  ExpectLoadFails(Code::kKeyUnproven, "cannot be read");
}

TEST_F(KeyRingTest, ACertificateThatTheTokenLacksIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", {1}, {"nowhere"});
  ExpectLoadFails(Code::kLedgerUnusable, "lacks a certificate");
}

// Its signatures have the right size and nothing else.
class WrongToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override { return std::make_unique<Session>(); }

 private:
  class Session final : public SigningSession {
   public:
    Result<Bytes> Sign(const Bytes&, const Algorithm&, std::string_view) override { return Bytes(256, 1); }
  };
};

TEST_F(KeyRingTest, AKeyWhoseProofFailsIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  WrongToken token(hsm_.token());
  const auto ring = Load(token);
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, Code::kKeyUnproven);
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

TEST_F(KeyRingTest, ClientsChangeAsAWholeOrNotAtAll) {
  Replica(hsm_.token(), *certifier_, clients_, now_).Generate("orders");
  const auto ring = *Load();
  hsm_.MakeKey("unfit", {9}, /*sensitive=*/true, /*extractable=*/true);
  Enter("unfit", {9});
  const auto refused = ring->Reconfigure({Named("late"), Named("unfit")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kKeyForbidden);
  EXPECT_TRUE(ring->SigningKeyOf("orders"));
  EXPECT_TRUE(ring->FindClient("orders"));
  EXPECT_FALSE(ring->FindClient("late"));
  EXPECT_FALSE(ring->Snapshot()->contains("late"));

  ASSERT_TRUE(ring->Reconfigure({Named("late")}));
  EXPECT_FALSE(ring->FindClient("orders"));
  EXPECT_FALSE(ring->SigningKeyOf("orders"));
  EXPECT_EQ(ring->VersionOf("late"), 0);
  ASSERT_TRUE(ring->Reconfigure({Named("late"), Named("orders")}));
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

// What this process has not seen itself, the audit log has.
TEST_F(KeyRingTest, ALedgerOlderThanWhatWasSeenBeforeStopsItsClientAlone) {
  std::string old;
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    replica.Generate("orders");
    replica.Generate("billing");
    old = hsm_.token().FindData("assertiond ledger", "orders")->front().value;
    replica.Generate("orders");
  }
  // Somebody who has the PIN restores what was signed once.
  const auto objects = *hsm_.token().FindData("assertiond ledger", "orders");
  for (const auto& object : objects) {
    ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
  }
  ASSERT_TRUE(hsm_.token().StoreData("assertiond ledger", "orders", old));

  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));  // verifies, after all
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
            "lost");
  auto change = replica.Change("orders");
  change.expected_version = 1;
  EXPECT_EQ(replica.custodian().Generate(change, Replica::NewKey()).error().code, Code::kFailedPrecondition);
  replica.Generate("billing");
  EXPECT_EQ(seen.at("billing"), 2);

  // What was there is there again.
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
