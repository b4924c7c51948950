#include "p11/hsm_token.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "p11/session.h"
#include "softhsm.h"

namespace assertion::p11 {
namespace {

NewKey Orders(const Bytes& id) { return {.label = "orders", .id = id, .algorithm = kAlgorithms.data(), .bits = 2048}; }

// What is specific to SoftHSM2 or to our code; tests/contract has what every token must do.
class HsmTokenTest : public testing::Test {
 protected:
  LoggedInSoftHsm hsm_;
};

TEST_F(HsmTokenTest, AKeyIsBornWithTheWholeTemplate) {
  const auto key = hsm_.token().GenerateKeyPair(Orders({1, 2, 3}));
  ASSERT_TRUE(key) << key.error().ToString();
  // The first eleven are required of every key that signs.
  const std::vector<std::pair<std::string_view, bool>> expected = {
      {"CKA_SENSITIVE", true},     {"CKA_ALWAYS_SENSITIVE", true},
      {"CKA_EXTRACTABLE", false},  {"CKA_NEVER_EXTRACTABLE", true},
      {"CKA_LOCAL", true},         {"CKA_SIGN", true},
      {"CKA_PRIVATE", true},       {"CKA_DECRYPT", false},
      {"CKA_UNWRAP", false},       {"CKA_DERIVE", false},
      {"CKA_SIGN_RECOVER", false}, {"CKA_COPYABLE", false},
      {"CKA_MODIFIABLE", false}};
  ASSERT_EQ(key->attributes.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, value] = expected[i];
    EXPECT_EQ(key->attributes[i].name, name);
    EXPECT_EQ(key->attributes[i].value, value) << name;
    EXPECT_EQ(key->attributes[i].required, i < 11 ? std::optional(value) : std::nullopt) << name;
  }
}

TEST_F(HsmTokenTest, AKeyIsReadByItsIdWhateverItsLabel) {
  hsm_.MakeKey("vendor", {1}, /*sensitive=*/true, /*extractable=*/false);
  hsm_.MakeKey("vendor", {2}, /*sensitive=*/true, /*extractable=*/false);
  const auto contents = hsm_.token().Read({"orders"}, {{2}});
  ASSERT_TRUE(contents) << contents.error().ToString();
  ASSERT_EQ(contents->keys.size(), 1U);
  EXPECT_EQ(contents->keys[0].id, Bytes{2});
  ASSERT_EQ(contents->public_keys.size(), 1U);
  EXPECT_EQ(contents->public_keys[0].id, Bytes{2});
}

TEST_F(HsmTokenTest, BothHalvesGetALabelUnlessTheKeyIsNotModifiable) {
  hsm_.MakeKey("vendor", {1}, /*sensitive=*/true, /*extractable=*/false);
  ASSERT_TRUE(hsm_.token().SetLabel(Bytes{1}, "orders"));
  const auto contents = hsm_.token().Read({"orders"});
  EXPECT_EQ(contents->keys.size(), 1U);
  EXPECT_EQ(contents->public_keys.size(), 1U);
  EXPECT_EQ(contents->public_keys.at(0).label, "orders");

  ASSERT_TRUE(hsm_.token().GenerateKeyPair(Orders({2})));
  const auto refused = hsm_.token().SetLabel(Bytes{2}, "other");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().detail.starts_with("C_SetAttributeValue")) << refused.error().detail;
  EXPECT_TRUE(hsm_.token().Read({"other"})->public_keys.empty());
}

TEST_F(HsmTokenTest, SignsWithWhatTheTokenOffers) {
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("RS256")), "CKM_SHA256_RSA_PKCS");
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("PS384")), "CKM_SHA384_RSA_PKCS_PSS");
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("ES256")), "CKM_ECDSA") << "SoftHSM2 does not hash for ECDSA";
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("EdDSA")), "CKM_EDDSA");
}

TEST_F(HsmTokenTest, AKeyOnACurveThatIsNotOfferedHasAFlaw) {
  auto session = *Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, CKF_RW_SESSION);
  CK_BBOOL yes = CK_TRUE;
  std::string label = "orders";
  std::array<CK_BYTE, 7> secp256k1 = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A};
  std::array public_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                                CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()},
                                CK_ATTRIBUTE{CKA_EC_PARAMS, secp256k1.data(), secp256k1.size()}};
  std::array private_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes}, CK_ATTRIBUTE{CKA_SIGN, &yes, sizeof yes},
                                 CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()}};
  const auto pair = session.GenerateKeyPair({CKM_EC_KEY_PAIR_GEN, nullptr, 0}, public_template, private_template);
  ASSERT_TRUE(pair) << pair.error().ToString();
  const auto contents = hsm_.token().Read({"orders"});
  ASSERT_TRUE(contents) << contents.error().ToString();
  ASSERT_EQ(contents->keys.size(), 1U);
  ASSERT_TRUE(contents->keys[0].flaw);
  EXPECT_EQ(contents->keys[0].flaw->code, Code::kKeyForbidden);
  EXPECT_EQ(contents->keys[0].flaw->message, "it is on another curve than P-256, P-384, P-521 and Ed25519");
}

TEST_F(HsmTokenTest, TheUriNamesTokenAndKeyAndNoPin) {
  const auto reference = hsm_.token().PrivateKeyOf(Bytes{0xAB, 0x01});
  ASSERT_TRUE(reference);
  const auto& uri = reference->uri;
  EXPECT_NE(uri.find("token=test"), std::string::npos) << uri;
  EXPECT_NE(uri.find("id=%AB%01"), std::string::npos) << uri;
  EXPECT_NE(uri.find("type=private"), std::string::npos) << uri;
  EXPECT_EQ(uri.find("pin"), std::string::npos) << uri;
}

}  // namespace
}  // namespace assertion::p11
