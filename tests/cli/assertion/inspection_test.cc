#include "cli/assertion/inspection.h"

#include <gtest/gtest.h>

#include "certificate_authority.h"
#include "jws/base64url.h"
#include "jws/jwk.h"
#include "places.h"

namespace assertion::cli {
namespace {

nlohmann::json Rfc7515A2() {
  auto file = ProjectFile("tests/vectors/rfc7515_a2.json");
  return nlohmann::json::parse(file);
}

TEST(Inspection, VerifiesWithTheKeyOfAJwkSetThatHasTheKid) {
  const auto vector = Rfc7515A2();
  auto parsed = *jws::ParseCompact(vector["jws"].get<std::string>());
  const auto jwks = nlohmann::json({{"keys", {vector["jwk"]}}});
  EXPECT_FALSE(KeyFromJwks(jwks.dump(), parsed.header));  // neither has a kid
  auto with_kid = jwks;
  with_kid["keys"][0]["kid"] = "a2";
  parsed.header["kid"] = "a2";
  const auto key = KeyFromJwks(with_kid.dump(), parsed.header);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_TRUE(VerifySignature(parsed, *key));
  parsed.signature[0] ^= 1U;
  EXPECT_FALSE(VerifySignature(parsed, *key));
  parsed.header["kid"] = "other";
  const auto missing = KeyFromJwks(with_kid.dump(), parsed.header);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);  // not checked, not bad
}

// What is shown is indented by its depth: 20,000 levels took gigabytes.
TEST(Inspection, AHeaderOrClaimsNestedMoreThanThirtyTwoDeepAreNoJwt) {
  const auto object = [](std::size_t levels) {
    return jws::Base64UrlEncode(AsBytes(R"({"a":)" + std::string(levels, '[') + std::string(levels, ']') + "}"));
  };
  EXPECT_TRUE(jws::ParseCompact(object(31) + "." + object(31) + ".AAAA"));
  const auto header = jws::ParseCompact(object(32) + "." + object(1) + ".AAAA");
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().message, "the header is nested more than 32 deep");
  const auto claims = jws::ParseCompact(object(1) + "." + object(32) + ".AAAA");
  ASSERT_FALSE(claims);
  EXPECT_EQ(claims.error().message, "the claims set is nested more than 32 deep");
}

TEST(Inspection, AJwkSetNestedMoreThanThirtyTwoDeepIsNone) {
  const nlohmann::ordered_json header = {{"kid", "a"}};
  const auto key =
      KeyFromJwks(R"({"keys":[{"kid":)" + std::string(300'000, '[') + std::string(300'000, ']') + "}]}", header);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Code::kInvalidArgument);
}

TEST(Inspection, NeverTrustsAnAlgorithmItDoesNotOffer) {
  const auto vector = Rfc7515A2();
  auto parsed = *jws::ParseCompact(vector["jws"].get<std::string>());
  const auto key = *jws::ParseJwk(vector["jwk"]);
  for (const nlohmann::ordered_json& alg : {nlohmann::ordered_json("none"), nlohmann::ordered_json("HS256"),
                                            nlohmann::ordered_json("rs256"), nlohmann::ordered_json(7)}) {
    parsed.header["alg"] = alg;
    EXPECT_FALSE(VerifySignature(parsed, key)) << alg;
  }
}

TEST(Inspection, ACertificateOfAnotherKindOfKeyIsRefused) {
  const CertificateAuthority rsa("a", CertificateAuthority::kRsa);
  EXPECT_TRUE(KeyFromCertificate(rsa.certificate()));
  const CertificateAuthority ec("a", CertificateAuthority::kEc);
  EXPECT_TRUE(KeyFromCertificate(ec.certificate()));
  const CertificateAuthority other("a", "EC -pkeyopt ec_paramgen_curve:secp256k1");
  const auto key = KeyFromCertificate(other.certificate());
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().message,
            "the certificate's public key is of another kind than RSA, P-256, P-384, P-521 and Ed25519");
}

TEST(Inspection, ExpiresInTheSecondOfExp) {
  auto parsed = *jws::ParseCompact(Rfc7515A2()["jws"].get<std::string>());
  const Time exp(std::chrono::seconds(1300819380));
  EXPECT_FALSE(IsExpired(parsed, exp - std::chrono::seconds(1)));
  EXPECT_TRUE(IsExpired(parsed, exp));
  parsed.claims["exp"] = 1300819380.5;
  EXPECT_FALSE(IsExpired(parsed, exp));
  EXPECT_TRUE(IsExpired(parsed, exp + std::chrono::seconds(1)));
  parsed.claims.erase("exp");
  EXPECT_FALSE(IsExpired(parsed, exp));
}

TEST(Inspection, DescribesTimesInWords) {
  const auto parsed = *jws::ParseCompact(Rfc7515A2()["jws"].get<std::string>());
  const auto text = Describe(parsed, Time(std::chrono::seconds(1300819380 - 90)));
  EXPECT_NE(text.find("exp     2011-03-22T18:43:00Z (in 90 s)"), std::string::npos) << text;
}

}  // namespace
}  // namespace assertion::cli
