#include "p11/key_import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "faulty_hsm/faulty_hsm.h"
#include "made_private_key.h"
#include "x509/private_key.h"
#include "x509/verifier.h"

namespace assertion::p11 {
namespace {

class KeyImportTest : public testing::Test {
 protected:
  PrivateKey Read(const MadePrivateKey& made) {
    auto key = x509::ParsePkcs8(made.Pkcs8());
    EXPECT_TRUE(key) << key.error().ToString();
    return std::move(*key);
  }

  Result<TokenKey> Import(const PrivateKey& key, const char* algorithm, std::uint8_t id = 1) {
    return hsm_.token().ImportKeyPair({.label = "orders", .id = {id}, .algorithm = FindAlgorithm(algorithm), .bits = 0},
                                      key);
  }

  // Expects that the token signs with the key that was made outside, and that it shows custody but no birth inside.
  void ExpectImported(const std::string& rules, const PrivateKey& key, const char* algorithm) {
    hsm_.Tell(rules);
    const auto imported = Import(key, algorithm);
    ASSERT_TRUE(imported) << algorithm << ": " << imported.error().ToString();
    EXPECT_EQ(imported->public_key, key.public_key);
    EXPECT_EQ(imported->label, "orders");
    for (const auto& attribute : imported->attributes) {
      const bool born = attribute.name == "CKA_LOCAL" || attribute.name == "CKA_ALWAYS_SENSITIVE" ||
                        attribute.name == "CKA_NEVER_EXTRACTABLE";
      EXPECT_EQ(attribute.ok(), !born) << algorithm << ": " << attribute.name;
    }
    const auto signature = (*hsm_.token().OpenSigningSession())->Sign({1}, *FindAlgorithm(algorithm), "input");
    ASSERT_TRUE(signature) << algorithm << ": " << signature.error().ToString();
    EXPECT_TRUE(x509::Verifier::New(key.public_key, *FindAlgorithm(algorithm))->Verify("input", *signature));
    const auto contents = hsm_.token().Read({"orders"});
    EXPECT_EQ(contents->keys.size(), 1U);
    EXPECT_EQ(contents->public_keys.size(), 1U) << "its public half lies beside it";
    ASSERT_TRUE(hsm_.token().DestroyKey(imported->id));
    EXPECT_TRUE(hsm_.token().Read({"orders"})->keys.empty());
  }

  FaultyHsm hsm_;
};

TEST_F(KeyImportTest, KeysOfEveryKindGoInByUnwrappingOrByCreation) {
  const auto rsa = Read(MadePrivateKey(2048));
  const auto p256 = Read(MadePrivateKey("P-256"));
  // A key that is unwrapped needs one C_CreateObject, for its public half.
  for (const char* rules : {"C_CreateObject fail=0x54 skip=1", "C_UnwrapKey fail=0x54"}) {
    SCOPED_TRACE(rules);
    ExpectImported(rules, rsa, "RS256");
    ExpectImported(rules, rsa, "PS512");
    ExpectImported(rules, p256, "ES256");
    ExpectImported(rules, Read(MadePrivateKey("P-384")), "ES384");
    ExpectImported(rules, Read(MadePrivateKey("P-521")), "ES512");
  }
  ExpectImported("", Read(MadePrivateKey("ED25519")), "EdDSA");
}

}  // namespace
}  // namespace assertion::p11
