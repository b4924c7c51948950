// Objects on the token that anybody can make without a PIN: none is used, and each is found as a stray.

#include "keys/stray.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "key_ring_fixture.h"
#include "keys/own_key.h"

namespace assertion {
namespace {

// Makes and destroys objects that take no PIN: their CKA_PRIVATE is false. SoftHSM2 allows that with a login too.
class ForgedObjectsTest : public KeyRingFixture {
 protected:
  p11::Session Open() { return *p11::Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, CKF_RW_SESSION); }

  // Makes a key pair that has every attribute that custody requires except CKA_PRIVATE. `public_half_alone`: keeps only
  // its public key.
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

  // Destroys the client's objects that take no PIN: public keys and certificates.
  void DestroyWhatIsPublic(const std::string& label) {
    const auto contents = hsm_.token().Read({label});
    for (const auto* objects : {&contents->public_keys, &contents->certificates}) {
      for (const auto& object : *objects) {
        ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
      }
    }
  }

  // Generates an ES256 key for the client and returns its kid.
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
  EXPECT_EQ(FindOwnKeys(token, kAuditKeyLabel).error().code, Code::kKeyUnproven);
}

TEST_F(ForgedObjectsTest, ALookAlikeOfAnOwnKeyStopsNoStartAndIsNotTakenForIt) {
  Forge(std::string(kAuditKeyLabel), {0}, rs256_);
  Forge(std::string(kAuditKeyLabel), {1}, rs256_, /*public_half_alone=*/true);
  EXPECT_TRUE(FindOwnKeys(hsm_.token(), kAuditKeyLabel)->empty());
  const auto own = FindOrGenerateOwnKeys(hsm_.token(), kAuditKeyLabel, RandomOctets);
  ASSERT_TRUE(own) << own.error().ToString();
  ASSERT_EQ(own->size(), 1U);
  EXPECT_EQ(own->front().id.size(), 16U);
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

}  // namespace
}  // namespace assertion
