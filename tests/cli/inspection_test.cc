#include "cli/inspection.h"

#include <gtest/gtest.h>

#include <fstream>

#include "certificate_authority.h"
#include "cli/text.h"
#include "cli/token_request.h"
#include "jws/jwk.h"

namespace assertion::cli {
namespace {

nlohmann::json Rfc7515A2() {
  std::ifstream file(std::string(ASSERTION_VECTORS) + "/rfc7515_a2.json");
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
  EXPECT_FALSE(KeyFromJwks(with_kid.dump(), parsed.header));
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

TEST(Inspection, DescribesTimesInWords) {
  const auto parsed = *jws::ParseCompact(Rfc7515A2()["jws"].get<std::string>());
  const auto text = Describe(parsed, Time(std::chrono::seconds(1300819380 - 90)));
  EXPECT_NE(text.find("exp     2011-03-22T18:43:00Z (in 90 s)"), std::string::npos) << text;
}

TEST(Text, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2J\r\nb"), "a?[2J??b");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "2J\xC2\xA0\xC3\x9B\xC2"),
            "?2J\xC2\xA0\xC3\x9B\xC2");
  EXPECT_EQ(PrintableLines("a\tb\r\nc\x1b\rd\n"), "a\tb\r\nc??d\n");
}

TEST(Text, RelativeTimes) {
  const Time now(std::chrono::seconds(1'000'000'000));
  EXPECT_EQ(Relative(now + std::chrono::seconds(5), now), "in 5 s");
  EXPECT_EQ(Relative(now - std::chrono::minutes(5), now), "5 min ago");
  EXPECT_EQ(Relative(now + std::chrono::days(365), now), "in 365 days");
}

TEST(TokenRequest, EndpointsAreHttpsExceptOnLoopback) {
  for (const auto* good : {"https://is.example.com/oauth2/token", "https://localhost:9443/oauth2/token",
                           "http://127.0.0.1:8080/token", "http://localhost/token", "http://[::1]:1/token"}) {
    EXPECT_TRUE(CheckTokenEndpoint(good)) << good;
  }
  for (const auto* bad : {"", "is.example.com/token", "http://is.example.com/token", "http://127.evil.com/token",
                          "http://localhost.evil.com/token", "ftp://localhost/token", "https:///token",
                          "https://user@host/token", "https://host/token#f", "http://localhost@evil.com/",
                          "https://host/a b", "https://host/a\nHost: evil.com", "https://host/\xC3\xA4"}) {
    EXPECT_FALSE(CheckTokenEndpoint(bad)) << bad;
  }
}

TEST(TokenRequest, OnlyAnAccessTokenIsASuccess) {
  EXPECT_TRUE(IsGranted({.status = 200, .body = R"({"access_token":"x","token_type":"Bearer"})"}));
  for (const auto* body : {"", "<html>", "[]", "{}", R"({"error":"invalid_client"})", R"({"access_token":7})"}) {
    EXPECT_FALSE(IsGranted({.status = 200, .body = body})) << body;
  }
  EXPECT_FALSE(IsGranted({.status = 401, .body = R"({"access_token":"x"})"}));
}

TEST(TokenRequest, ARefusalIsOneLine) {
  EXPECT_EQ(ReasonOf({.status = 401, .body = R"({"error":"invalid_client","error_description":"a\nb"})"}),
            "HTTP 401, invalid_client, a?b");
  EXPECT_EQ(ReasonOf({.status = 502, .body = "<html>"}), "HTTP 502");
}

}  // namespace
}  // namespace assertion::cli
