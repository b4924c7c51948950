#include <gtest/gtest.h>

#include "faulty_hsm/faulty_hsm.h"
#include "x509/verifier.h"

namespace assertion::p11 {
namespace {

// The token lists mechanisms and then refuses them at C_SignInit with CKR_MECHANISM_INVALID (0x70).
class RefusedMechanismTest : public testing::Test {
 protected:
  Result<Bytes> Sign() { return (*hsm_.token().OpenSigningSession())->Sign(key_.id, algorithm_, "input"); }

  const Algorithm& algorithm_ = kAlgorithms[0];
  FaultyHsm hsm_;
  TokenKey key_ = *hsm_.token().GenerateKeyPair(
      {.label = "orders", .id = {1}, .algorithm = &algorithm_, .bits = algorithm_.default_key_bits()});
};

TEST_F(RefusedMechanismTest, TheDigestIsSignedInsteadOfTheMessageFromThenOn) {
  ASSERT_EQ(hsm_.token().MechanismOf(algorithm_), "CKM_SHA256_RSA_PKCS");
  hsm_.Tell("C_SignInit fail=0x70 times=1");
  for (int i = 0; i < 2; ++i) {
    const auto signature = Sign();
    ASSERT_TRUE(signature) << signature.error().ToString();
    EXPECT_TRUE(x509::Verifier::New(key_.public_key, algorithm_)->Verify("input", *signature));
    EXPECT_EQ(hsm_.token().MechanismOf(algorithm_), "CKM_RSA_PKCS");
  }
}

TEST_F(RefusedMechanismTest, ASecondRefusalIsTheAnswer) {
  hsm_.Tell("C_SignInit fail=0x70 times=2");
  const auto refused = Sign();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("C_SignInit: "), std::string::npos) << refused.error().ToString();
  EXPECT_TRUE(Sign()) << "one call makes two attempts";
}

TEST_F(RefusedMechanismTest, AnotherErrorIsNoReasonToChange) {
  hsm_.Tell("C_SignInit fail=0x30 times=1");
  EXPECT_FALSE(Sign());
  EXPECT_EQ(hsm_.token().MechanismOf(algorithm_), "CKM_SHA256_RSA_PKCS");
}

}  // namespace
}  // namespace assertion::p11
