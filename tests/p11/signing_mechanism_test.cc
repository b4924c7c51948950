#include "p11/signing_mechanism.h"

#include <gtest/gtest.h>

#include <string>

#include "p11/hasher.h"
#include "p11/session.h"
#include "softhsm.h"
#include "x509/verifier.h"

namespace assertion::p11 {
namespace {

class DigestTest : public testing::Test {
 protected:
  TokenKey Key(const Algorithm& algorithm) {
    auto key = hsm_.token().GenerateKeyPair(
        {.label = "orders", .id = {1}, .algorithm = &algorithm, .bits = algorithm.default_key_bits()});
    EXPECT_TRUE(key) << key.error().ToString();
    return *key;
  }

  LoggedInSoftHsm hsm_;
  Session session_ = *Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, 0);
  Hasher hasher_;
};

// A token that does not hash gets our digest: the signature is the same as that of the mechanism that hashes.
TEST_F(DigestTest, MadeHereSignsLikeTheMessage) {
  const auto rsa = Key(kAlgorithms[0]);
  for (const auto& algorithm : kAlgorithms) {
    if (algorithm.curve != nullptr) {
      continue;  // SoftHSM2 does not hash for these
    }
    const auto mechanism = SigningMechanism::OfDigest(algorithm);
    for (const std::string message : {"message", "", "another, once more with the same hasher"}) {
      const auto digest = hasher_.Hash(*mechanism.digest, mechanism.digest_info, message);
      ASSERT_TRUE(digest) << digest.error().ToString();
      const auto signature = session_.Sign(mechanism, rsa.private_key.value, *digest);
      ASSERT_TRUE(signature) << algorithm.name << ": " << signature.error().ToString();
      EXPECT_TRUE(x509::Verifier::New(rsa.public_key, algorithm)->Verify(message, *signature)) << algorithm.name;
    }
  }
}

TEST_F(DigestTest, OfAnotherLengthIsNotSigned) {
  for (const auto* name : {"ES256", "ES384", "ES512", "RS256", "PS256"}) {
    const auto& algorithm = *FindAlgorithm(name);
    const auto key = Key(algorithm);
    const auto mechanism = SigningMechanism::OfDigest(algorithm);
    const auto length = mechanism.octets();
    EXPECT_TRUE(session_.Sign(mechanism, key.private_key.value, Bytes(length, 7))) << name;
    for (const auto wrong : {std::size_t{0}, std::size_t{20}, length - 1, length + 1, 2 * length}) {
      const auto refused = session_.Sign(mechanism, key.private_key.value, Bytes(wrong, 7));
      ASSERT_FALSE(refused) << name << " signed " << wrong << " octets";
      EXPECT_EQ(refused.error().code, Code::kInternal);
      EXPECT_NE(refused.error().message.find("was not asked"), std::string::npos);
    }
    ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{1}));
  }
}

}  // namespace
}  // namespace assertion::p11
