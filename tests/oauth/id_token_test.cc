#include "oauth/id_token.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "jws/base64url.h"
#include "jws/compact.h"

namespace assertion::oauth {
namespace {

using nlohmann::json;

constexpr std::int64_t kNow = 1'800'000'000;
constexpr std::size_t kChecks = 11;
// OpenID Connect Core 1.0, appendices A.3 and A.4: a code and an access token with their hashes.
constexpr const char* kCode = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
constexpr const char* kCodeHash = "LDktKdoQak3Pk0cnXxCltA";
constexpr const char* kAccessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
constexpr const char* kAccessTokenHash = "77QmUPtjPfzWtF2AnpK9RQ";

// An RSA key that signs RS256.
class ProviderKey {
 public:
  explicit ProviderKey(unsigned bits = 2048) : key_(EVP_RSA_gen(bits)) {}
  ~ProviderKey() { EVP_PKEY_free(key_); }
  ProviderKey(const ProviderKey&) = delete;
  ProviderKey& operator=(const ProviderKey&) = delete;

  std::string Sign(const json& header, const json& claims) const {
    const auto input = jws::SigningInput(jws::EncodedHeader(nlohmann::ordered_json(header)), claims.dump());
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    Bytes signature(512);
    auto size = signature.size();
    EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_), 1);
    EXPECT_EQ(EVP_DigestSign(context.get(), signature.data(), &size, AsBytes(input).data(), input.size()), 1);
    signature.resize(size);
    return jws::Compact(input, signature);
  }

  json Jwk(const std::string& kid) const {
    return {{"kty", "RSA"}, {"kid", kid}, {"n", Number(OSSL_PKEY_PARAM_RSA_N)}, {"e", Number(OSSL_PKEY_PARAM_RSA_E)}};
  }

 private:
  std::string Number(const char* name) const {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key_, name, &number);
    Bytes octets(static_cast<std::size_t>(BN_num_bytes(number)));
    BN_bn2bin(number, octets.data());
    BN_free(number);
    return jws::Base64UrlEncode(octets);
  }

  EVP_PKEY* key_;
};

class IdToken : public testing::Test {
 protected:
  // The names of the checks that fail, with blanks between.
  std::string Failing() { return FailingOf(key_.Sign(header_, claims_)); }
  std::string FailingOf(const std::string& token) {
    const auto checked = CheckIdToken(token, jwks_, expected_);
    std::string names;
    for (const auto& check : checked.checks) {
      names += check.wrong.empty() ? "" : (names.empty() ? "" : " ") + check.name;
    }
    EXPECT_EQ(checked.good(), names.empty());
    return names;
  }

  // What the checks that fail have in common.
  std::optional<Mistake> MistakeOf(const std::string& token) {
    std::optional<Mistake> common;
    for (const auto& check : CheckIdToken(token, jwks_, expected_).checks) {
      if (!check.wrong.empty()) {
        EXPECT_EQ(common.value_or(check.mistake), check.mistake) << check.wrong;
        common = check.mistake;
      }
    }
    return common;
  }

  ProviderKey key_;
  json header_ = {{"alg", "RS256"}, {"kid", "one"}};
  json claims_ = {{"iss", "https://is.example.com"},
                  {"aud", "orders"},
                  {"azp", "orders"},
                  {"sub", "ann"},
                  {"exp", kNow + 600},
                  {"iat", kNow},
                  {"nonce", "n-0S6_WzA2Mj"},
                  {"c_hash", kCodeHash},
                  {"at_hash", kAccessTokenHash}};
  json jwks_ = {{"keys", json::array({key_.Jwk("one")})}};
  ExpectedIdToken expected_{.issuer = "https://is.example.com",
                            .client_id = "orders",
                            .nonce = "n-0S6_WzA2Mj",
                            .access_token = kAccessToken,
                            .code = kCode,
                            .now = Time(std::chrono::seconds(kNow))};
};

TEST_F(IdToken, IsTakenWithTheHashesOfTheSpecification) {
  EXPECT_EQ(Failing(), "");
  EXPECT_EQ(CheckIdToken(key_.Sign(header_, claims_), jwks_, expected_).checks.size(), kChecks);
  for (const auto* optional : {"azp", "c_hash", "at_hash"}) {
    claims_.erase(optional);
    EXPECT_EQ(Failing(), "") << optional;
  }
}

TEST_F(IdToken, FailsOneCheckForEachClaimThatIsWrong) {
  const json good = claims_;
  const std::vector<std::pair<std::string, json>> wrong = {{"iss", "https://is.example.com/"},
                                                           {"iss", nullptr},
                                                           {"aud", "others"},
                                                           {"aud", json::array({"others"})},
                                                           {"aud", nullptr},
                                                           {"azp", "others"},
                                                           {"sub", ""},
                                                           {"sub", 7},
                                                           {"sub", std::string(256, 's')},
                                                           {"exp", kNow - 60},
                                                           {"exp", "soon"},
                                                           {"exp", nullptr},
                                                           {"iat", kNow + 61},
                                                           {"iat", kNow - 301},
                                                           {"iat", kNow + 0.5},
                                                           {"iat", nullptr},
                                                           {"nonce", "another"},
                                                           {"nonce", nullptr},
                                                           {"at_hash", kCodeHash},
                                                           {"at_hash", nullptr},
                                                           {"c_hash", kAccessTokenHash}};
  for (const auto& [name, value] : wrong) {
    claims_ = good;
    claims_[name] = value;
    EXPECT_EQ(Failing(), name) << value;
  }
  for (const auto* name : {"iss", "aud", "sub", "exp", "iat", "nonce"}) {
    claims_ = good;
    claims_.erase(name);
    EXPECT_EQ(Failing(), name) << "missing";
  }
}

TEST_F(IdToken, MayHaveOtherAudiencesOnlyWithAzp) {
  claims_["aud"] = {"orders", "https://api.example.com"};
  EXPECT_EQ(Failing(), "");
  claims_.erase("azp");
  EXPECT_EQ(Failing(), "aud");
}

TEST_F(IdToken, SaysByHowMuchClocksDiffer) {
  expected_.now += std::chrono::minutes(10);
  const auto checked = CheckIdToken(key_.Sign(header_, claims_), jwks_, expected_);
  EXPECT_EQ(Failing(), "iat");
  EXPECT_NE(checked.checks[7].wrong.find("issued 600 s ago"), std::string::npos) << checked.checks[7].wrong;
  expected_.now -= std::chrono::minutes(20);
  EXPECT_EQ(Failing(), "iat");
}

TEST_F(IdToken, IsByAnotherClockOnlyIfItsTimesAreTimes) {
  const json good = claims_;
  const std::vector<std::tuple<std::string, json, Mistake>> wrong = {
      {"exp", kNow - 60, Mistake::kClock},  {"exp", "soon", Mistake::kOther},
      {"exp", nullptr, Mistake::kOther},    {"exp", 1.7e9, Mistake::kOther},
      {"iat", kNow + 61, Mistake::kClock},  {"iat", kNow - 301, Mistake::kClock},
      {"iat", -1, Mistake::kOther},         {"iat", std::to_string(kNow), Mistake::kOther},
      {"nonce", "another", Mistake::kOther}};
  for (const auto& [name, value, mistake] : wrong) {
    claims_ = good;
    claims_[name] = value;
    EXPECT_EQ(MistakeOf(key_.Sign(header_, claims_)), mistake) << name << ' ' << value;
  }
}

TEST_F(IdToken, IsByAnotherKeyOnlyIfNoneOfTheProvidersVerifiesIt) {
  const ProviderKey another;
  EXPECT_EQ(MistakeOf(another.Sign(header_, claims_)), Mistake::kOtherKey);
  header_["kid"] = "two";
  EXPECT_EQ(MistakeOf(key_.Sign(header_, claims_)), Mistake::kOtherKey);
  header_["crit"] = {"exp"};
  EXPECT_EQ(MistakeOf(key_.Sign(header_, claims_)), Mistake::kOther);
  header_ = {{"alg", "RS256"}};
  jwks_["keys"].push_back(another.Jwk("two"));
  EXPECT_EQ(MistakeOf(key_.Sign(header_, claims_)), Mistake::kOther) << "several keys fit";
  const ProviderKey weak(1024);
  jwks_ = {{"keys", json::array({weak.Jwk("one")})}};
  EXPECT_EQ(MistakeOf(weak.Sign(header_, claims_)), Mistake::kOther);
}

TEST_F(IdToken, IsRefusedWhenAnotherKeySigned) {
  const ProviderKey another;
  EXPECT_EQ(FailingOf(another.Sign(header_, claims_)), "signature");
  header_["kid"] = "two";
  EXPECT_EQ(Failing(), "signature");
}

TEST_F(IdToken, IsRefusedWhenItWasChanged) {
  const auto token = key_.Sign(header_, claims_);
  auto others = claims_;
  others["sub"] = "bob";
  const auto payload = jws::Base64UrlEncode(AsBytes(others.dump()));
  const auto first = token.find('.');
  EXPECT_EQ(FailingOf(token.substr(0, first + 1) + payload + token.substr(token.rfind('.'))), "signature");
  EXPECT_EQ(FailingOf(token.substr(0, token.rfind('.') + 1)), "form");
}

TEST_F(IdToken, TakesNoAlgorithmWithoutAPrivateKey) {
  for (const auto* alg : {"none", "None", "HS256", "dir", ""}) {
    header_["alg"] = alg;
    EXPECT_EQ(Failing(), "alg signature at_hash c_hash") << alg;
  }
  header_["alg"] = "ES256";  // not the key's kind
  EXPECT_EQ(Failing(), "signature");
}

TEST_F(IdToken, TakesOnlyAKeyThatIsForIt) {
  header_["crit"] = {"exp"};
  EXPECT_EQ(Failing(), "signature");
  header_.erase("crit");
  jwks_["keys"][0]["use"] = "enc";
  EXPECT_EQ(Failing(), "signature");
  jwks_["keys"][0]["use"] = "sig";
  jwks_["keys"][0]["alg"] = "PS256";
  EXPECT_EQ(Failing(), "signature");
  jwks_ = {{"keys", "none"}};
  EXPECT_EQ(Failing(), "signature");
}

TEST_F(IdToken, WithoutKidIsVerifiedByTheOnlyKeyThatFits) {
  header_.erase("kid");
  EXPECT_EQ(Failing(), "");
  const ProviderKey another;
  jwks_["keys"].push_back(another.Jwk("two"));
  EXPECT_EQ(Failing(), "signature");
}

TEST_F(IdToken, ByAShortRsaKeyIsRefused) {
  const ProviderKey weak(1024);
  jwks_ = {{"keys", json::array({weak.Jwk("one")})}};
  EXPECT_EQ(FailingOf(weak.Sign(header_, claims_)), "signature");
}

TEST_F(IdToken, OfAnotherFormIsRefused) {
  for (const auto* text : {"", "a.b", "a.b.c", "e30.e30.", "e30.W10.AA"}) {
    EXPECT_NE(FailingOf(text), "") << text;
  }
}

}  // namespace
}  // namespace assertion::oauth
