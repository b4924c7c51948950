#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "contract/token_under_test.h"
#include "x509/certifier.h"
#include "x509/verifier.h"

namespace assertion {

inline const Algorithm& kRs256 = kAlgorithms[0];

// Every PKCS#11 token must do this for us. The tests ask a token what it offers before they want it. The suite runs on
// each kind of token that there is, and on a faulty_hsm without faults, so that this fake is proven, too.
class ContractTest : public testing::TestWithParam<TokenUnderTest> {
 protected:
  p11::HsmToken& token() { return fresh_->token(); }

  static bool Lacks(Lack what) { return GetParam().lacks.contains(what); }

  // An algorithm whose keys are made fast, if the token offers one.
  const Algorithm& fast() {
    const auto& es256 = *FindAlgorithm("ES256");
    return token().Supports(es256) ? es256 : kRs256;
  }

  Result<TokenKey> Generate(const Bytes& id, const std::string& label = "orders", const Algorithm& algorithm = kRs256) {
    return token().GenerateKeyPair(
        {.label = label, .id = id, .algorithm = &algorithm, .bits = algorithm.default_key_bits()});
  }

  // Expects that a session of its own signs with the key, and that the public key shown at its birth verifies it.
  void ExpectSigns(const TokenKey& key, const Algorithm& algorithm = kRs256) {
    auto session = token().OpenSigningSession();
    ASSERT_TRUE(session) << session.error().ToString();
    ExpectSigns(**session, key, "input", algorithm);
  }

  static void ExpectSigns(SigningSession& session, const TokenKey& key, const std::string& input,
                          const Algorithm& algorithm = kRs256) {
    const auto signature = session.Sign(key.id, algorithm, input);
    ASSERT_TRUE(signature) << signature.error().ToString();
    const auto verifier = x509::Verifier::New(key.public_key, algorithm);
    ASSERT_TRUE(verifier) << verifier.error().ToString();
    EXPECT_TRUE(verifier->Verify(input, *signature));
    EXPECT_FALSE(verifier->Verify(input + ".", *signature));
  }

  x509::CertifiedKey CertifiedKey(const TokenKey& key, const Algorithm& algorithm) {
    return {.token = &token(), .id = key.id, .public_key = key.public_key, .algorithm = &algorithm};
  }

  // The certificate that the key has signed itself.
  Result<x509::NewCertificate> SelfSign(const TokenKey& key, const Algorithm& algorithm) {
    ASSIGN_OR_RETURN(const auto certifier, x509::Certifier::New(GetParam().module_path, GetParam().init_args));
    return certifier->SelfSign({.key = CertifiedKey(key, algorithm),
                                .common_name = "orders",
                                .subject_alt_names = {},
                                .not_before = Time(std::chrono::seconds(1'800'000'000)),
                                .not_after = Time(std::chrono::seconds(1'900'000'000))});
  }

  void ExpectCertifies(const TokenKey& key, const Algorithm& algorithm) {
    const auto made = SelfSign(key, algorithm);
    ASSERT_TRUE(made) << made.error().ToString();
    EXPECT_EQ(made->certificate.public_key, key.public_key);
  }

  const std::unique_ptr<FreshToken> fresh_ = GetParam().make();
};

// The tokens that have, or lack, this.
inline std::vector<TokenUnderTest> TokensThat(bool lack, Lack what) {
  auto tokens = TokensUnderTest();
  std::erase_if(tokens, [&](const TokenUnderTest& token) { return token.lacks.contains(what) != lack; });
  return tokens;
}

inline std::vector<TokenUnderTest> TokensThatMakeKeys() { return TokensThat(false, Lack::kKeys); }

// Those of them that have, or lack, this, too.
inline std::vector<TokenUnderTest> TokensThatMakeKeys(bool lack, Lack what) {
  auto tokens = TokensThatMakeKeys();
  std::erase_if(tokens, [&](const TokenUnderTest& token) { return token.lacks.contains(what) != lack; });
  return tokens;
}

inline const auto kTokenName = [](const auto& info) { return info.param.name; };

}  // namespace assertion
