#include "jws/compact.h"

#include <gtest/gtest.h>

#include "jws/base64url.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "places.h"
#include "x509/verifier.h"

namespace assertion::jws {
namespace {

nlohmann::json Vector(const std::string& name) {
  auto file = ProjectFile("tests/vectors/" + name);
  return nlohmann::json::parse(file);
}

TEST(Compact, WritesAndVerifiesRfc7515AppendixA2) {
  const auto vector = Vector("rfc7515_a2.json");
  const auto parsed = ParseCompact(vector["jws"].get<std::string>());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->header["alg"], "RS256");
  EXPECT_EQ(parsed->claims["exp"], 1300819380);

  const auto input =
      SigningInput(Base64UrlEncode(AsBytes(vector["header"].get<std::string>())), vector["payload"].get<std::string>());
  EXPECT_EQ(input, parsed->signing_input);
  EXPECT_EQ(Compact(input, parsed->signature), vector["jws"].get<std::string>());

  const auto key = ParseJwk(vector["jwk"]);
  ASSERT_TRUE(key) << key.error().message;
  const auto verifier = x509::Verifier::New(*key, kAlgorithms[0]);
  ASSERT_TRUE(verifier);
  EXPECT_TRUE(verifier->Verify(input, parsed->signature));
  auto flipped = parsed->signature;
  flipped[17] ^= 1U;
  EXPECT_FALSE(verifier->Verify(input, flipped));
  EXPECT_FALSE(verifier->Verify(input + " ", parsed->signature));
  EXPECT_FALSE(verifier->Verify(input, {}));
}

TEST(Compact, HeaderIsAlgKidTypAndNothingElse) {
  const auto header = Base64UrlDecode(EncodedHeader(kAlgorithms[0], "abc"));
  ASSERT_TRUE(header);
  EXPECT_EQ(std::string(header->begin(), header->end()), R"({"alg":"RS256","kid":"abc","typ":"JWT"})");
}

TEST(Compact, KidIsTheThumbprintOfRfc7638Section31) {
  const auto vector = Vector("rfc7638_3_1.json");
  const auto key = ParseJwk(vector["jwk"]);
  ASSERT_TRUE(key);
  EXPECT_EQ(JwkThumbprint(*key), vector["thumbprint"].get<std::string>());
}

// RFC 8037 appendix A.3; RFC 7638 has none of an EC key: that of RFC 7515 appendix A.3, as section 3 has it written.
TEST(Compact, KidOfAKeyOnACurveIsTheThumbprintOfItsRequiredMembers) {
  const auto ed25519 = Vector("rfc8037_a.json");
  EXPECT_EQ(JwkThumbprint(*ParseJwk(ed25519["jwk"])), ed25519["thumbprint"].get<std::string>());
  const auto ec = Vector("rfc7515_a3.json")["jwk"];
  const auto written = R"({"crv":"P-256","kty":"EC","x":")" + ec["x"].get<std::string>() + R"(","y":")" +
                       ec["y"].get<std::string>() + R"("})";
  EXPECT_EQ(JwkThumbprint(*ParseJwk(ec)), Sha256Thumbprint(AsBytes(written)));
}

TEST(Compact, JwkOfAKeyOnACurve) {
  for (const auto& [file, alg, members] : {std::tuple{"rfc7515_a3.json", "ES256", 7U},
                                           {"rfc7515_a4.json", "ES512", 7U},
                                           {"rfc8037_a.json", "EdDSA", 6U}}) {
    const auto expected = Vector(file)["jwk"];
    const auto key = ParseJwk(expected);
    ASSERT_TRUE(key) << key.error().message;
    const auto jwk = Jwk(*key, *FindAlgorithm(alg), {});
    for (const auto& [name, value] : expected.items()) {
      EXPECT_EQ(jwk[name], value) << file << " " << name;
    }
    EXPECT_EQ(jwk["alg"], alg);
    EXPECT_EQ(jwk["use"], "sig");
    EXPECT_EQ(jwk["kid"], JwkThumbprint(*key));
    EXPECT_EQ(jwk.size(), members);
    EXPECT_EQ(*ParseJwk(jwk), *key);
  }
}

TEST(Compact, JwkThatIsNoPointOfItsCurveIsRefused) {
  const auto refused = [](const char* name, const nlohmann::json& value) {
    auto jwk = Vector("rfc7515_a3.json")["jwk"];
    jwk[name] = value;
    return !ParseJwk(jwk);
  };
  const auto x = Vector("rfc7515_a3.json")["jwk"]["x"].get<std::string>();
  EXPECT_FALSE(refused("x", x));
  EXPECT_TRUE(refused("crv", "P-384")) << "of another length";
  EXPECT_TRUE(refused("crv", "secp256k1"));
  EXPECT_TRUE(refused("crv", "Ed25519")) << "of another kty";
  EXPECT_TRUE(refused("crv", 256));
  EXPECT_TRUE(refused("kty", "OKP"));
  EXPECT_TRUE(refused("x", "AAAA"));
  EXPECT_TRUE(refused("y", nullptr));
  EXPECT_TRUE(refused("d", "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"));
}

TEST(Compact, JwkHasPublicMembersOnly) {
  const auto vector = Vector("rfc7638_3_1.json");
  const auto key = *ParseJwk(vector["jwk"]);
  const Certificate certificate{.der = {3, 236, 255, 224, 193}, .public_key = key, .not_before = {}, .not_after = {}};
  const auto jwk = Jwk(key, kAlgorithms[0], {&certificate, 1});
  EXPECT_EQ(jwk["n"], vector["jwk"]["n"]);
  EXPECT_EQ(jwk["e"], "AQAB");
  EXPECT_EQ(jwk["kid"], vector["thumbprint"]);
  EXPECT_EQ(jwk["use"], "sig");
  EXPECT_EQ(jwk["alg"], "RS256");
  EXPECT_EQ(jwk["x5c"], nlohmann::ordered_json::array({"A+z/4ME="}));  // RFC 7517 section 4.7: not base64url
  EXPECT_EQ(jwk["x5t#S256"], Sha256Thumbprint(certificate.der));
  EXPECT_EQ(jwk.size(), 8U);
  EXPECT_EQ(*ParseJwk(jwk), key);
  EXPECT_EQ(Jwk(key, kAlgorithms[0], {}).size(), 6U);
}

TEST(Compact, JwkWithAPrivateMemberIsRefused) {
  for (const std::string name : {"d", "p", "q", "dp", "dq", "qi", "oth"}) {
    auto jwk = Vector("rfc7638_3_1.json")["jwk"];
    jwk[name] = "AQAB";
    const auto key = ParseJwk(jwk);
    ASSERT_FALSE(key) << name;
    EXPECT_EQ(key.error().message, "the JWK has the private member " + name);
  }
}

TEST(Compact, JwkWithALeadingZeroOctetIsRefused) {
  auto jwk = Vector("rfc7638_3_1.json")["jwk"];
  jwk["e"] = "AAEAAQ";
  EXPECT_FALSE(ParseJwk(jwk));
}

struct Broken {
  const char* text;
  const char* reason;
};

class MalformedCompact : public testing::TestWithParam<Broken> {};

TEST_P(MalformedCompact, IsRefusedWithItsReason) {
  const auto parsed = ParseCompact(GetParam().text);
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find(GetParam().reason), std::string::npos) << parsed.error().message;
}

INSTANTIATE_TEST_SUITE_P(Compact, MalformedCompact,
                         testing::Values(Broken{"", "three parts"}, Broken{"e30", "three parts"},
                                         Broken{"e30.e30", "three parts"}, Broken{"e30.e30.AA.AA", "three parts"},
                                         Broken{"e30.e30.", "signature is empty"},
                                         Broken{"e30=.e30.AA", "header is not base64url"},
                                         Broken{"W10.e30.AA", "header is not a JSON object"},
                                         Broken{"e30.bm90.AA", "claims set is not a JSON object"},
                                         Broken{"e30A.e30.AA", "header is not a JSON object: it holds an octet NUL"},
                                         Broken{"e30.e30A.AA", "claims set is not a JSON object"},
                                         Broken{"e30.e30.A\nA", "signature is not base64url"}));

}  // namespace
}  // namespace assertion::jws
