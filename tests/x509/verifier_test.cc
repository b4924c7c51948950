#include "x509/verifier.h"

#include <gtest/gtest.h>
#include <openssl/rsa.h>

#include <cstring>

#include "jws/base64url.h"
#include "jws/jwk.h"
#include "places.h"

namespace assertion::x509 {
namespace {

// A JWS and the key that made it, as an RFC prints them.
struct Example {
  explicit Example(const std::string& file) {
    auto stream = ProjectFile("tests/vectors/" + file);
    const auto vector = nlohmann::json::parse(stream);
    const auto text = vector["jws"].get<std::string>();
    const auto header = *jws::Base64UrlDecode(text.substr(0, text.find('.')));
    algorithm = FindAlgorithm(nlohmann::json::parse(header)["alg"].get<std::string>());
    key = *jws::ParseJwk(vector["jwk"]);
    input = text.substr(0, text.rfind('.'));
    signature = *jws::Base64UrlDecode(text.substr(text.rfind('.') + 1));
  }

  const Algorithm* algorithm;
  PublicKey key;
  std::string input;
  Bytes signature;
};

class VerifierTest : public testing::TestWithParam<const char*> {};

TEST_P(VerifierTest, TakesTheRfcsSignatureAndNoOther) {
  const Example example(GetParam());
  const auto verifier = Verifier::New(example.key, *example.algorithm);
  ASSERT_TRUE(verifier) << verifier.error().ToString();
  EXPECT_TRUE(verifier->Verify(example.input, example.signature));
  EXPECT_TRUE(verifier->Verify(example.input, example.signature)) << "and again";
  EXPECT_FALSE(verifier->Verify(example.input + " ", example.signature));
  EXPECT_FALSE(verifier->Verify(example.input, {}));
  for (std::size_t i = 0; i < example.signature.size(); ++i) {
    auto flipped = example.signature;
    flipped[i] ^= 1U;
    EXPECT_FALSE(verifier->Verify(example.input, flipped)) << "octet " << i;
  }
  auto shorter = example.signature;
  shorter.pop_back();
  EXPECT_FALSE(verifier->Verify(example.input, shorter));
  auto longer = example.signature;
  longer.insert(longer.begin(), 0);
  EXPECT_FALSE(verifier->Verify(example.input, longer));
  EXPECT_FALSE(verifier->Verify(example.input, Bytes(example.signature.size(), 0)));
}

// The key is bound to what it was made for: never verified with another algorithm because a header says so.
TEST_P(VerifierTest, TakesNoOtherAlgorithm) {
  const Example example(GetParam());
  for (const auto& algorithm : kAlgorithms) {
    const auto verifier = Verifier::New(example.key, algorithm);
    ASSERT_EQ(verifier.has_value(), Fits(example.key, algorithm)) << algorithm.name;
    if (!verifier) {
      EXPECT_EQ(verifier.error().code, Code::kInvalidArgument);
    } else {
      EXPECT_EQ(verifier->Verify(example.input, example.signature), &algorithm == example.algorithm) << algorithm.name;
    }
  }
}

const auto kName = [](const auto& info) { return std::string(info.param, std::strchr(info.param, '.')); };

INSTANTIATE_TEST_SUITE_P(Rfc, VerifierTest,
                         testing::Values("rfc7515_a2.json", "rfc7515_a3.json", "rfc7515_a4.json", "rfc7520_4_2.json",
                                         "rfc8037_a.json"),
                         kName);

TEST(Verifier, APointThatIsNotOnTheCurveIsNoKey) {
  auto key = std::get<CurvePublicKey>(Example("rfc7515_a3.json").key);
  ASSERT_TRUE(Verifier::New(key, *FindAlgorithm("ES256")));
  key.x[0] ^= 1U;
  const auto verifier = Verifier::New(key, *FindAlgorithm("ES256"));
  ASSERT_FALSE(verifier);
  EXPECT_EQ(verifier.error().code, Code::kInvalidArgument);
}

// RFC 7518 section 3.5: with another length than the digest's a verifier refuses it.
TEST(Verifier, APssSaltOfAnotherLengthIsRefused) {
  const KeyPtr pair(EVP_RSA_gen(2048));
  const auto number = [&](const char* name) {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(pair.get(), name, &value);
    const BignumPtr owned(value);
    Bytes octets(static_cast<std::size_t>(BN_num_bytes(value)));
    BN_bn2bin(value, octets.data());
    return octets;
  };
  const auto verifier =
      Verifier::New(RsaPublicKey{.modulus = number("n"), .exponent = number("e")}, *FindAlgorithm("PS256"));
  ASSERT_TRUE(verifier);
  for (const auto& [salt, good] : {std::pair{32, true}, {20, false}, {0, false}}) {
    const std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* signing = nullptr;
    ASSERT_EQ(EVP_DigestSignInit(context.get(), &signing, EVP_sha256(), nullptr, pair.get()), 1);
    ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(signing, RSA_PKCS1_PSS_PADDING), 1);
    ASSERT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(signing, salt), 1);
    Bytes signature(256);
    auto size = signature.size();
    const auto message = AsBytes("message");
    ASSERT_EQ(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()), 1);
    EXPECT_EQ(verifier->Verify("message", signature), good) << salt;
  }
}

}  // namespace
}  // namespace assertion::x509
