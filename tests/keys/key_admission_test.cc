#include "keys/key_admission.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>

#include "certificate_authority.h"
#include "jws/thumbprint.h"
#include "key_ring_fixture.h"
#include "x509/certificate.h"
#include "x509/pem.h"

namespace assertion {
namespace {

class KeyAdmissionTest : public KeyRingFixture {};

TEST_F(KeyAdmissionTest, TwoKeysOfOneIdAreAnError) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  hsm_.MakeKey("somebody else", {1}, true, false);
  ExpectFlaw(Code::kKeyAmbiguous, "with CKA_ID 01");
}

TEST_F(KeyAdmissionTest, AnExtractableKeyIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, true, true);
  Enter("orders", Bytes{1});
  ExpectFlaw(Code::kKeyForbidden, "CKA_EXTRACTABLE is true, CKA_NEVER_EXTRACTABLE is false");
}

TEST_F(KeyAdmissionTest, AKeyThatIsNotSensitiveIsRefusedByName) {
  hsm_.MakeKey("orders", {1}, false, false);
  Enter("orders", Bytes{1});
  ExpectFlaw(Code::kKeyForbidden, "CKA_SENSITIVE is false, CKA_ALWAYS_SENSITIVE is false");
}

TEST_F(KeyAdmissionTest, AKeyThatTheTokenLacksIsRefused) {
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

TEST_F(KeyAdmissionTest, AnotherKeyInItsPlaceIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", {.kid = "another",
                   .algorithm = kAlgorithms.data(),
                   .id = {1},
                   .certificates = {},
                   .publish_from = now_,
                   .sign_from = now_});
  ExpectFlaw(Code::kLedgerUnusable, "is another on the token than in the ledger");
}

TEST_F(KeyAdmissionTest, AKeyThatDoesNotFitItsLedgersAlgorithmIsRefused) {
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

TEST_F(KeyAdmissionTest, AKeyOfEveryAlgorithmIsProven) {
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

TEST_F(KeyAdmissionTest, AWithdrawnKeyMayBeUnfitOrGone) {
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

TEST_F(KeyAdmissionTest, AGoodKeyWithoutCertificateMaySign) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  const auto ring = Load();
  ASSERT_TRUE(ring) << ring.error().ToString();
  EXPECT_TRUE((*(*ring)->SigningKeyOf("orders"))->chain.empty());
}

TEST_F(KeyAdmissionTest, ACertificateOfAnotherKeyIsRefused) {
  const auto other = Foreign();
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, other.der));
  Enter("orders", {1}, {jws::Sha256Thumbprint(other.der)});
  ExpectCertificateFlaw(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyAdmissionTest, ACertificateOfAnotherKindOfKeyIsRefused) {
  const CertificateAuthority ec("orders", CertificateAuthority::kEc);
  const auto der = x509::ParsePem(ec.certificate())->der;
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, der));
  Enter("orders", {1}, {jws::Sha256Thumbprint(der)});
  ExpectCertificateFlaw(Code::kKeyUnproven, "does not belong to that key");
}

TEST_F(KeyAdmissionTest, ACertificateThatIsNoneIsRefused) {
  const Bytes garbage = {0x30, 0x00};
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, Bytes{0x30, 0x00}, garbage));
  Enter("orders", {1}, {jws::Sha256Thumbprint(garbage)});
  ExpectCertificateFlaw(Code::kKeyUnproven, "cannot be read");
}

TEST_F(KeyAdmissionTest, ACertificateThatTheTokenLacksIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", {1}, {"nowhere"});
  ExpectCertificateFlaw(Code::kLedgerUnusable, "lacks a certificate");
}

TEST_F(KeyAdmissionTest, AKeyWhoseProofFailsIsRefused) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter("orders", Bytes{1});
  WrongToken token(hsm_.token());
  ExpectFlaw(token, Code::kKeyUnproven, "did not make a signature");
}

}  // namespace
}  // namespace assertion
