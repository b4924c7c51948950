#include "keys/key_ring.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "certificate_authority.h"
#include "jws/thumbprint.h"
#include "keys/own_key.h"
#include "keys/stray.h"
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

  // That client's alone: the ring loads, the client does not sign, and is told why.
  void ExpectFlaw(const KeyRing& ring, Code code, const std::string& part) {
    const auto& keys = ring.Snapshot()->at("orders").keys;
    ASSERT_FALSE(keys.empty());
    ASSERT_TRUE(keys.back().flaw);
    EXPECT_EQ(keys.back().flaw->code, code);
    EXPECT_NE(keys.back().flaw->message.find(part), std::string::npos) << keys.back().flaw->message;
    EXPECT_FALSE(keys.back().key);
    const auto refused = ring.SigningKeyOf("orders");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  }

  void ExpectFlaw(Token& token, Code code, const std::string& part) {
    const auto ring = Load(token);
    ASSERT_TRUE(ring) << ring.error().ToString();
    ExpectFlaw(**ring, code, part);
  }
  void ExpectFlaw(Code code, const std::string& part) { ExpectFlaw(hsm_.token(), code, part); }

  // The key signs; its certificate cannot be shown.
  void ExpectCertificateFlaw(Code code, const std::string& part) {
    const auto ring = Load();
    ASSERT_TRUE(ring) << ring.error().ToString();
    const auto key = (*ring)->SigningKeyOf("orders");
    ASSERT_TRUE(key) << key.error().ToString();
    EXPECT_TRUE((*key)->chain.empty());
    const auto flaw = (*ring)->Find("orders", "")->certificate_flaw;
    ASSERT_TRUE(flaw);
    EXPECT_EQ(flaw->code, code);
    EXPECT_NE(flaw->message.find(part), std::string::npos) << flaw->message;
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
  ExpectFlaw(Code::kKeyAmbiguous, "with CKA_ID 01");
}

TEST_F(KeyRingTest, AnExtractableKeyIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, true, true);
  Enter("orders", Bytes{1});
  ExpectFlaw(Code::kKeyForbidden, "CKA_EXTRACTABLE is true, CKA_NEVER_EXTRACTABLE is false");
}

TEST_F(KeyRingTest, AKeyThatIsNotSensitiveIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, false, false);
  Enter("orders", Bytes{1});
  ExpectFlaw(Code::kKeyForbidden, "CKA_SENSITIVE is false, CKA_ALWAYS_SENSITIVE is false");
}

TEST_F(KeyRingTest, AKeyThatTheTokenLacksIsRefused) {
  Enter("orders", {.kid = "gone",
                   .algorithm = kAlgorithms.data(),
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_});
  hsm_.MakeKey("billing", {2}, true, false);
  Enter("billing", Bytes{2});
  EXPECT_TRUE((*Load())->SigningKeyOf("billing"));
  ExpectFlaw(Code::kLedgerUnusable, "is in the ledger but not on the token");
}

TEST_F(KeyRingTest, AnotherKeyInItsPlaceIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", {.kid = "another",
                   .algorithm = kAlgorithms.data(),
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_});
  ExpectFlaw(Code::kLedgerUnusable, "is another on the token than in the ledger");
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
    ExpectFlaw(Code::kKeyUnproven,
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
  ExpectCertificateFlaw(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyRingTest, ACertificateOfAnotherKindOfKeyIsRefused) {
  const CertificateAuthority ec("orders", CertificateAuthority::kEc);
  const auto der = x509::ParsePem(ec.certificate())->der;
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, der));
  Enter("orders", {1}, {jws::Sha256Thumbprint(der)});
  ExpectCertificateFlaw(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyRingTest, ACertificateThatIsNoneIsRefused) {
  const Bytes garbage = {0x30, 0x00};
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, garbage));
  Enter("orders", {1}, {jws::Sha256Thumbprint(garbage)});
  ExpectCertificateFlaw(Code::kKeyUnproven, "cannot be read");
}

TEST_F(KeyRingTest, ACertificateThatTheTokenLacksIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", {1}, {"nowhere"});
  ExpectCertificateFlaw(Code::kLedgerUnusable, "lacks a certificate");
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
  ExpectFlaw(token, Code::kKeyUnproven, "did not make a signature");
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

// Every refresh looks whether an object has come or gone: the ledger need not have changed.
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

// What takes no PIN: objects of a public session have CKA_PRIVATE false. SoftHSM2 lets the logged in make them, too.
class PublishedKeysTest : public KeyRingTest {
 protected:
  PublishedKeysTest() {
    clients_ = {Named("orders")};
    clients_[0].binding = Binding::kJwks;
    hsm_.MakeKey("orders", {1}, true, false);
    Enter("orders", Bytes{1});
  }

  // A next key that signs `lead` after it is published, as if its ledger had been written `late` after it was made.
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

class ForgedObjectsTest : public KeyRingTest {
 protected:
  p11::Session Open() { return *p11::Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, CKF_RW_SESSION); }

  // A key pair that shows all that custody asks for but CKA_PRIVATE; `public_half` alone: nothing else stays.
  void Forge(std::string label, Bytes id, const Algorithm& algorithm, bool public_half_alone = false) {
    auto session = Open();
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ULONG bits = 2048;
    std::string curve(algorithm.curve == nullptr ? "" : algorithm.curve->ec_params);
    std::vector public_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes}, CK_ATTRIBUTE{CKA_PRIVATE, &no, sizeof no},
                                   CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()},
                                   CK_ATTRIBUTE{CKA_ID, id.data(), id.size()}};
    if (curve.empty()) {
      public_template.push_back({CKA_MODULUS_BITS, &bits, sizeof bits});
    } else {
      public_template.push_back({CKA_EC_PARAMS, curve.data(), curve.size()});
    }
    std::array private_template = {
        CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},     CK_ATTRIBUTE{CKA_PRIVATE, &no, sizeof no},
        CK_ATTRIBUTE{CKA_SIGN, &yes, sizeof yes},      CK_ATTRIBUTE{CKA_SENSITIVE, &yes, sizeof yes},
        CK_ATTRIBUTE{CKA_EXTRACTABLE, &no, sizeof no}, CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()},
        CK_ATTRIBUTE{CKA_ID, id.data(), id.size()}};
    const auto pair = session.GenerateKeyPair({algorithm.key_type().pkcs11_pair_generation, nullptr, 0},
                                              public_template, private_template);
    ASSERT_TRUE(pair) << pair.error().ToString();
    if (public_half_alone) {
      ASSERT_TRUE(session.Destroy(pair->private_key));
    }
  }

  // Of a client's objects all that can be destroyed without a PIN: public keys and certificates.
  void DestroyWhatIsPublic(const std::string& label) {
    const auto contents = hsm_.token().Read({label});
    for (const auto* objects : {&contents->public_keys, &contents->certificates}) {
      for (const auto& object : *objects) {
        ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
      }
    }
  }

  // Enters the key that is on the token under that id, with its certificates, as the custodian would for the algorithm.
  std::string MakeEcKey(const std::string& client_id) {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    auto key = Replica::NewKey();
    key.algorithm = FindAlgorithm("ES256");
    key.bits = key.algorithm->default_key_bits();
    const auto kid = replica.custodian().Generate(replica.Change(client_id), key);
    EXPECT_TRUE(kid) << kid.error().ToString();
    return kid.value_or("");
  }

  const Algorithm& rs256_ = kAlgorithms.front();
  const Algorithm& es256_ = *FindAlgorithm("ES256");
};

TEST_F(ForgedObjectsTest, AKeyPairThatIsNotPrivateUnderAClientsIdIsNotUsedAndHurtsNobody) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto kid = replica.Generate("orders");
  const auto id = replica.Record("orders", kid).id;
  Forge("orders", id, rs256_);
  ASSERT_TRUE(replica.ring().Refresh());
  const auto key = replica.ring().SigningKeyOf("orders");
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_EQ((*key)->kid, kid);
  const auto again = Load();
  ASSERT_TRUE(again);
  ASSERT_TRUE((*again)->SigningKeyOf("orders")) << (*again)->SigningKeyOf("orders").error().ToString();
  EXPECT_TRUE(replica.custodian().CreateCsr("orders", kid, "CN=orders", {})) << "OpenSSL finds two keys of that id";
  EXPECT_EQ(hsm_.token().Read({"orders"})->unguarded.size(), 1U);
}

TEST_F(ForgedObjectsTest, ALedgerCannotMakeAKeyThatIsNotPrivateSign) {
  Forge("orders", {1}, rs256_);
  const auto half = hsm_.token().Read({"orders"})->public_keys.front().public_key;
  Enter("orders", {.kid = jws::JwkThumbprint(*half),
                   .algorithm = &rs256_,
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_});
  ExpectFlaw(Code::kLedgerUnusable, "is in the ledger but not on the token");
  EXPECT_FALSE((*hsm_.token().OpenSigningSession())->Sign({1}, rs256_, "by its id"));
}

TEST_F(ForgedObjectsTest, APublicKeyBesideAnRsaKeyIsNotItsHalf) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto kid = replica.Generate("orders");
  Forge("orders", replica.Record("orders", kid).id, rs256_, /*public_half_alone=*/true);
  Forge("nobody", replica.Record("orders", kid).id, rs256_, /*public_half_alone=*/true);
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_TRUE(replica.ring().SigningKeyOf("orders"));
  const auto key = (*Load())->SigningKeyOf("orders");
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_EQ((*key)->kid, kid);
}

TEST_F(ForgedObjectsTest, APublicKeyBesideAKeyOnACurveIsNotItsHalf) {
  const auto kid = MakeEcKey("orders");
  const auto id = (*Load())->Find("orders", kid)->record.id;
  Forge("orders", id, es256_, /*public_half_alone=*/true);
  const auto key = (*Load())->SigningKeyOf("orders");
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_EQ((*key)->kid, kid);
}

TEST_F(ForgedObjectsTest, AnRsaKeySignsWithoutItsPublicKeyAndItsCertificate) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto kid = replica.Generate("orders");
  DestroyWhatIsPublic("orders");
  ASSERT_TRUE(replica.ring().Refresh());
  const auto still = replica.ring().SigningKeyOf("orders");
  ASSERT_TRUE(still) << still.error().ToString();
  EXPECT_EQ((*still)->chain.size(), 1U) << "what it has in memory is what the ledger names";
  EXPECT_TRUE(replica.ring().Find("orders", kid)->certificate_flaw);
  ExpectCertificateFlaw(Code::kLedgerUnusable, "lacks a certificate");
}

TEST_F(ForgedObjectsTest, AKeyOnACurveSignsWithoutItsPublicKeyAsLongAsItsCertificateIsThere) {
  const auto kid = MakeEcKey("orders");
  const auto running = *Load();
  const auto contents = hsm_.token().Read({"orders"});
  for (const auto& half : contents->public_keys) {
    ASSERT_TRUE(hsm_.token().DestroyObject(half.handle));
  }
  Forge("orders", running->Find("orders", kid)->record.id, es256_, /*public_half_alone=*/true);
  const auto key = (*Load())->SigningKeyOf("orders");
  ASSERT_TRUE(key) << key.error().ToString();
  EXPECT_EQ((*key)->kid, kid);
  DestroyWhatIsPublic("orders");
  ASSERT_TRUE(running->Refresh());
  EXPECT_TRUE(running->SigningKeyOf("orders")) << "a server that knew it goes on";
  ExpectFlaw(Code::kKeyUnproven, "are not two halves of one pair");
}

TEST_F(ForgedObjectsTest, ACertificateWithoutAValueAndAKeyWithoutNumbersHurtNobody) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto id = replica.Record("orders", replica.Generate("orders")).id;
  auto forged = id;
  auto session = Open();
  CK_OBJECT_CLASS key_class = CKO_PUBLIC_KEY;
  CK_KEY_TYPE type = CKK_EC;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  std::string text = "orders";
  std::array attributes = {CK_ATTRIBUTE{CKA_CLASS, &key_class, sizeof key_class},
                           CK_ATTRIBUTE{CKA_KEY_TYPE, &type, sizeof type},
                           CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                           CK_ATTRIBUTE{CKA_PRIVATE, &no, sizeof no},
                           CK_ATTRIBUTE{CKA_LABEL, text.data(), text.size()},
                           CK_ATTRIBUTE{CKA_ID, forged.data(), forged.size()},
                           CK_ATTRIBUTE{CKA_EC_PARAMS, text.data(), text.size()},
                           CK_ATTRIBUTE{CKA_EC_POINT, text.data(), text.size()}};
  ASSERT_TRUE(session.Create(attributes));
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", id, Bytes{0x30, 0x00}, Bytes{0x00}));
  ASSERT_TRUE(replica.ring().Refresh());
  EXPECT_TRUE((*Load())->SigningKeyOf("orders"));
}

TEST_F(ForgedObjectsTest, OwnKeysAreNeitherReplacedNorMadeUnfit) {
  const auto own = FindOrGenerateOwnKey(hsm_.token(), kAuditKeyLabel, RandomOctets);
  ASSERT_TRUE(own) << own.error().ToString();
  Forge(std::string(kAuditKeyLabel), own->id, rs256_);
  Forge(std::string(kAuditKeyLabel), {0}, rs256_);
  DestroyWhatIsPublic(std::string(kAuditKeyLabel));
  Forge(std::string(kAuditKeyLabel), own->id, rs256_, /*public_half_alone=*/true);
  const auto found = FindOwnKeys(hsm_.token(), kAuditKeyLabel);
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().public_key, own->public_key);
  EXPECT_EQ(FindOrGenerateOwnKey(hsm_.token(), kAuditKeyLabel, RandomOctets)->id, own->id);
}

TEST_F(ForgedObjectsTest, AnOwnKeyIsProvenBeforeItIsUsed) {
  ASSERT_TRUE(FindOrGenerateOwnKey(hsm_.token(), kAuditKeyLabel, RandomOctets));
  WrongToken token(hsm_.token());
  EXPECT_TRUE(FindOwnKeys(token, kAuditKeyLabel)->empty());
}

TEST_F(ForgedObjectsTest, StraysAreNamedAndRemovedAndNothingElse) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  const auto kid = replica.Generate("orders");
  const auto id = replica.Record("orders", kid).id;
  const auto audit = FindOrGenerateOwnKey(hsm_.token(), kAuditKeyLabel, RandomOctets);
  const auto find = [&] { return *FindStrays(hsm_.token(), {"orders", "billing"}, replica.ledger().Read()->ledgers); };
  EXPECT_TRUE(find().empty());
  Forge("orders", id, rs256_);
  Forge(std::string(kAuditKeyLabel), audit->id, rs256_);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", id, Bytes{0x30, 0x00}, Bytes{0x30, 0x00}));
  std::multiset<std::string> kinds;
  for (const auto& stray : find()) {
    kinds.insert(stray.label + ": " + stray.ToString());
  }
  const auto of = [&](const Bytes& each) { return " with CKA_ID " + Hex(each); };
  EXPECT_EQ(kinds, (std::multiset<std::string>{"orders: private key that is not CKA_PRIVATE," + of(id),
                                               "orders: public key" + of(id), "orders: certificate" + of(id),
                                               "assertiond-audit: private key that is not CKA_PRIVATE," + of(audit->id),
                                               "assertiond-audit: public key" + of(audit->id)}));
  ASSERT_TRUE(RemoveStrays(hsm_.token(), replica.ledger(), "orders"));
  EXPECT_TRUE(find().empty());
  EXPECT_EQ((*(*Load())->SigningKeyOf("orders"))->chain.size(), 1U);
  EXPECT_EQ(FindOrGenerateOwnKey(hsm_.token(), kAuditKeyLabel, RandomOctets)->id, audit->id);
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
            "lost; restore the later one, or see assertionctl key accept-ledger");
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

// As a restored backup brings it back: the ledgers of `client_id` are `texts` alone.
class AcceptLedgerTest : public KeyRingTest {
 protected:
  void Restore(const std::vector<std::string>& texts) {
    const auto kept = *hsm_.token().FindData("assertiond ledger", "orders");
    for (const auto& object : kept) {
      ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
    }
    for (const auto& text : texts) {
      ASSERT_TRUE(hsm_.token().StoreData("assertiond ledger", "orders", text));
    }
  }
  std::string Newest() {
    std::string newest;
    std::int64_t version = -1;
    Seal seal(hsm_.token(), RandomOctets);
    const auto kept = *hsm_.token().FindData("assertiond ledger", "orders");
    for (const auto& object : kept) {
      const auto payload = seal.Open(Seal::kLedger, object.value);
      if (const auto ledger = ParseLedger(payload.value_or("")); ledger && ledger->version > version) {
        version = ledger->version;
        newest = object.value;
      }
    }
    return newest;
  }
  static ChangeRequest On(std::int64_t version) {
    return {.client_id = "orders", .expected_version = version, .request_id = {}, .digest = {}, .forced = true};
  }
};

TEST_F(AcceptLedgerTest, TheOlderLedgersKeysSignAgainUnderAVersionAboveBoth) {
  std::string old;
  std::string kid;
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    kid = replica.Generate("orders");
    old = Newest();
    replica.Generate("orders");
    replica.Generate("orders");
  }
  const auto latest = Newest();
  Restore({old});
  std::int64_t highest = 0;
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    replica.ring().Remember({{"orders", 3}}, [](const ClientLedger&) {});
    static_cast<void>(replica.ring().Refresh());
    ASSERT_TRUE(replica.ring().RolledBack()->contains("orders"));
    EXPECT_EQ(replica.ring().RolledBack()->at("orders").found, 1);
    EXPECT_EQ(replica.ring().RolledBack()->at("orders").seen, 3);
    EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
    // The very version that is there, and no other.
    for (const auto other : {0, 2, 3, 4}) {
      EXPECT_EQ(replica.custodian().AcceptLedger(On(other)).error().code, Code::kAborted) << other;
    }
    EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
    const auto accepted = replica.custodian().AcceptLedger(On(1));
    ASSERT_TRUE(accepted) << accepted.error().ToString();
    EXPECT_EQ(accepted->found, 1);
    EXPECT_EQ(accepted->seen, 3);
    EXPECT_EQ(accepted->version, 4);
    EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
    EXPECT_TRUE(replica.ring().RolledBack()->empty());
    EXPECT_EQ(replica.custodian().AcceptLedger(On(4)).error().code, Code::kFailedPrecondition);  // once
    replica.Generate("orders");
    highest = replica.ring().VersionOf("orders");
    EXPECT_EQ(highest, 5);
  }
  // After a restart, with what the audit log has seen last; and the first backup, replayed, is older again.
  Replica restarted(hsm_.token(), *certifier_, clients_, now_);
  restarted.ring().Remember({{"orders", highest}}, [](const ClientLedger&) {});
  EXPECT_EQ((*restarted.ring().SigningKeyOf("orders"))->kid, kid);
  for (const auto& replayed : {old, latest}) {
    Restore({replayed});
    EXPECT_FALSE(restarted.ring().Refresh());
    EXPECT_EQ(restarted.ring().RolledBack()->at("orders").seen, highest);
  }
}

TEST_F(AcceptLedgerTest, AnUnsignedOrForeignLedgerIsNoneThatCanBeAccepted) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.Generate("orders");
  const auto newest = Newest();
  ClientLedger old = *ParseLedger(*Seal(hsm_.token(), RandomOctets).Open(Seal::kLedger, newest));
  replica.Generate("orders");
  auto damaged = newest;
  damaged[damaged.size() - 10] = damaged[damaged.size() - 10] == 'A' ? 'B' : 'A';
  auto json = nlohmann::json::parse(ToJson(old));
  json.erase("previous");
  for (const std::string& text : {ToJson(old), json.dump(), damaged}) {
    Restore({text});
    EXPECT_FALSE(replica.ring().Refresh());
    EXPECT_EQ(replica.ring().RolledBack()->at("orders").found, 0);
    EXPECT_EQ(replica.custodian().AcceptLedger(On(1)).error().code, Code::kAborted);
  }
}

TEST_F(AcceptLedgerTest, ALedgerThatIsLostIsBegunAgainWithoutKeys) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.Generate("orders");
  Restore({});
  EXPECT_FALSE(replica.ring().Refresh());
  const auto accepted = replica.custodian().AcceptLedger(On(0));
  ASSERT_TRUE(accepted) << accepted.error().ToString();
  EXPECT_EQ(accepted->version, 2);
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  const auto kid = replica.Generate("orders");
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
}

// What a change leaves beside its own version is the one that it was made from.
TEST_F(AcceptLedgerTest, ALedgerMadeFromNoneOfTheOlderOnesBesideItDoesNotCount) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  std::vector<std::string> texts;
  for (int i = 0; i < 3; ++i) {
    replica.Generate("orders");
    texts.push_back(Newest());
  }
  const auto loads = [&](const std::vector<std::string>& kept) {
    Restore(kept);
    const auto ring = Load();
    return ring && (*ring)->SigningKeyOf("orders").has_value();
  };
  EXPECT_TRUE(loads({texts[2]}));
  EXPECT_TRUE(loads({texts[2], texts[1]}));
  EXPECT_TRUE(loads({texts[0], texts[1], texts[2]}));
  EXPECT_FALSE(loads({texts[0], texts[2]}));
  // One that a change lost to the emergency brake lies beside: its version is higher than that of the brake's ledger's
  // predecessor.
  Seal seal(hsm_.token(), RandomOctets);
  auto overtaken = *ParseLedger(*seal.Open(Seal::kLedger, texts[1]));
  auto brake = *ParseLedger(*seal.Open(Seal::kLedger, texts[2]));
  brake.version += 1;
  overtaken.version += 1;
  overtaken.requests.push_back({.id = "x", .digest = "x", .kid = {}});
  EXPECT_TRUE(
      loads({*seal.Sign(Seal::kLedger, ToJson(brake)), *seal.Sign(Seal::kLedger, ToJson(overtaken)), texts[1]}));
  EXPECT_FALSE(loads({*seal.Sign(Seal::kLedger, ToJson(brake)), *seal.Sign(Seal::kLedger, ToJson(overtaken))}));
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
