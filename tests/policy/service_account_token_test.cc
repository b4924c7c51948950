#include "policy/service_account_token.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "assertion/bytes.h"
#include "jws/base64url.h"
#include "policy/policy.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr Time kNow{seconds(1'700'000'000)};

KubernetesSigner TheSigner() {
  return {.client_id = "kubernetes",
          .caller = "uid:0",
          .issuer = "https://cluster.example",
          .max_lifetime = std::chrono::hours(1)};
}

// What kube-apiserver 1.34 writes.
nlohmann::ordered_json Claims() {
  return nlohmann::ordered_json::parse(R"({
    "aud": ["https://cluster.example"], "exp": 1700003600, "iat": 1700000000, "iss": "https://cluster.example",
    "jti": "d3c1f0a2-54a5-4c1a-9f0b-0a4b0f4f6f55",
    "kubernetes.io": {"namespace": "default", "node": {"name": "n1", "uid": "u1"},
                      "serviceaccount": {"name": "builder", "uid": "u2"}},
    "nbf": 1700000000, "sub": "system:serviceaccount:default:builder"})");
}

std::string Segment(const std::string& text) { return jws::Base64UrlEncode(AsBytes(text)); }

Result<ServiceAccountToken> VetText(const std::string& text) {
  return ServiceAccountToken::Vet(TheSigner(), Segment(text), kNow);
}

// The valid claims with one of them exchanged; null: without it.
Result<ServiceAccountToken> VetWith(const std::string& name, const nlohmann::json& value) {
  auto claims = Claims();
  if (value.is_null()) {
    claims.erase(name);
  } else {
    claims[name] = value;
  }
  return VetText(claims.dump());
}

void ExpectRefused(const Result<ServiceAccountToken>& token, const std::string& why) {
  ASSERT_FALSE(token) << why;
  EXPECT_EQ(token.error().code, Code::kInvalidArgument);
  EXPECT_NE(token.error().message.find(why), std::string::npos) << token.error().message << " lacks " << why;
  EXPECT_TRUE(token.error().message.starts_with("claims: ")) << token.error().message;
}

TEST(ServiceAccountToken, IsTakenAsItIsWritten) {
  const std::string text = " " + Claims().dump(1) + "\n";
  const auto token = VetText(text);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->json, text);
  EXPECT_EQ(token->subject, "system:serviceaccount:default:builder");
  EXPECT_EQ(token->audience, "https://cluster.example");
  EXPECT_EQ(token->jti, "d3c1f0a2-54a5-4c1a-9f0b-0a4b0f4f6f55");
  EXPECT_EQ(token->issued_at, kNow);
  EXPECT_EQ(token->expires_at, kNow + std::chrono::hours(1));
}

TEST(ServiceAccountToken, MayHaveSeveralAudiencesAndNoJti) {
  EXPECT_EQ(VetWith("aud", "vault")->audience, "vault");
  EXPECT_EQ(VetWith("aud", {"vault", "sts"})->audience, R"(["vault","sts"])");
  for (const auto& only : {nlohmann::json(R"(["vault","sts"])"), nlohmann::json::array({R"(["vault","sts"])"})}) {
    EXPECT_EQ(VetWith("aud", only)->audience, R"(["[\"vault\",\"sts\"]"])") << "one audience is not two";
  }
  EXPECT_EQ(VetWith("aud", R"("vault")")->audience, R"(["\"vault\""])");
  EXPECT_EQ(VetWith("jti", nullptr)->jti, "");
}

TEST(ServiceAccountToken, WhatIsNoJsonObjectIsRefused) {
  ExpectRefused(ServiceAccountToken::Vet(TheSigner(), "a+b", kNow), "not base64url");
  ExpectRefused(ServiceAccountToken::Vet(TheSigner(), Segment(Claims().dump()) + "=", kNow), "not base64url");
  ExpectRefused(VetText(""), "not a JSON object");
  ExpectRefused(VetText("[]"), "not a JSON object");
  ExpectRefused(VetText(Claims().dump() + "{}"), "not a JSON object");
  ExpectRefused(VetText("{\"a\":\"\xFF\"}"), "not a JSON object");
  ExpectRefused(VetText(R"({"a":{"b":1,"b":2}})"), "not a JSON object");
}

TEST(ServiceAccountToken, TheSizeIsLimited) {
  const auto padded = [](std::size_t size) {
    const auto text = Claims().dump();
    return text + std::string(size - text.size(), ' ');
  };
  EXPECT_TRUE(VetText(padded(ServiceAccountToken::kMostOctets)));
  ExpectRefused(VetText(padded(ServiceAccountToken::kMostOctets + 1)), "more than 16384 octets");
}

TEST(ServiceAccountToken, ANameThatReadersTakeForARegisteredOneIsRefused) {
  for (const std::string name : {"Exp", "EXP", "i\xC5\xBFs", "Aud", "suB", "Nbf", "IAT", "jTi"}) {
    ExpectRefused(VetWith(name, 1), "can be taken for");
  }
  EXPECT_TRUE(VetWith("expiry", 1));
}

TEST(ServiceAccountToken, OnlyTheConfiguredIssuersTokensAreSigned) {
  for (const auto& issuer : {nlohmann::json("https://cluster.example/"), nlohmann::json(), nlohmann::json(7)}) {
    ExpectRefused(VetWith("iss", issuer), "not the configured \"https://cluster.example\"");
  }
}

TEST(ServiceAccountToken, TheSubjectIsAServiceAccount) {
  for (const std::string subject :
       {"", "admin", "system:node:n1", "system:serviceaccount:", "system:serviceaccount:default",
        "system:serviceaccount:default:", "system:serviceaccount::builder", "system:serviceaccount:a:b:c",
        "system:serviceaccount:default:Builder", "system:serviceaccount:de fault:builder"}) {
    ExpectRefused(VetWith("sub", subject), "sub must be");
  }
  ExpectRefused(VetWith("sub", nullptr), "sub must be");
  ExpectRefused(VetWith("sub", "system:serviceaccount:default:" + std::string(254, 'a')), "sub must be");
  EXPECT_TRUE(VetWith("sub", "system:serviceaccount:" + std::string(63, 'n') + ":" + std::string(253, 'a')));
}

TEST(ServiceAccountToken, HasAnAudience) {
  for (const auto& audience : {nlohmann::json(), nlohmann::json(""), nlohmann::json::array(), nlohmann::json({""}),
                               nlohmann::json({"a", 1}), nlohmann::json(1)}) {
    ExpectRefused(VetWith("aud", audience), "aud must be");
  }
}

TEST(ServiceAccountToken, TimesAreWholeSeconds) {
  for (const auto& wrong : {nlohmann::json(), nlohmann::json("1700000000"), nlohmann::json(1.7e9), nlohmann::json(-1),
                            nlohmann::json(std::uint64_t{1'700'000'000'000'000})}) {
    ExpectRefused(VetWith("exp", wrong), "exp must be a whole number");
    ExpectRefused(VetWith("iat", wrong), "iat must be a whole number");
  }
}

TEST(ServiceAccountToken, TheLifetimeIsLimited) {
  const auto now = kNow.time_since_epoch().count();
  ExpectRefused(VetWith("exp", now + 3601), "a token lives at most 3600 s");
  ExpectRefused(VetWith("iat", now - 1), "a token lives at most 3600 s");
  ExpectRefused(VetWith("exp", now), "exp has passed");
  ExpectRefused(VetWith("iat", now + 3600), "exp must be later than iat");
}

// A token that is issued in the future would outlive its key's publication.
TEST(ServiceAccountToken, IsNotIssuedInTheFuture) {
  auto claims = Claims();
  const auto vet = [&](seconds later) {
    claims["iat"] = (kNow + later).time_since_epoch().count();
    claims["exp"] = (kNow + later + std::chrono::hours(1)).time_since_epoch().count();
    return VetText(claims.dump());
  };
  EXPECT_TRUE(vet(seconds(60)));
  ExpectRefused(vet(seconds(61)), "a token lives at most");
}

TEST(ServiceAccountToken, TheJtiIsAText) {
  for (const auto& jti : {nlohmann::json(""), nlohmann::json(7), nlohmann::json(std::string(256, 'a'))}) {
    ExpectRefused(VetWith("jti", jti), "jti must be");
  }
}

class KubernetesPolicyTest : public testing::Test {
 protected:
  static Client Ring() {
    Client ring;
    ring.client_id = "kubernetes";
    return ring;
  }

  static Caller User(const std::string& identity) { return Caller::Authenticated({identity}); }

  static bool Random(std::span<std::uint8_t> octets) {
    std::ranges::fill(octets, 7);
    return true;
  }

  const Policy policy_{
      {Ring()},   {{.caller = "uid:5", .roles = {Role::kOperator}}}, [] { return kNow; }, Random, {}, {}, {},
      TheSigner()};
};

TEST_F(KubernetesPolicyTest, TheConfiguredCallersTokenIsApprovedOctetForOctet) {
  const auto text = Claims().dump(2);
  const auto approved = policy_.ApproveServiceAccountToken(User("uid:0"), Segment(text));
  ASSERT_TRUE(approved) << approved.error().message;
  EXPECT_EQ(approved->json(), text);
  EXPECT_TRUE(approved->gaps().empty());
  EXPECT_EQ(approved->client_id(), "kubernetes");
  EXPECT_EQ(approved->profile()->typ, "JWT");
  EXPECT_EQ(approved->subject(), "system:serviceaccount:default:builder");
  EXPECT_EQ(approved->expires_at() - approved->issued_at(), std::chrono::hours(1));
}

TEST_F(KubernetesPolicyTest, EveryOtherCallerIsDenied) {
  for (const std::string other : {"uid:1000", "uid:5", "uid:00"}) {
    const auto approved = policy_.ApproveServiceAccountToken(User(other), Segment(Claims().dump()));
    ASSERT_FALSE(approved);
    EXPECT_EQ(approved.error().code, Code::kPermissionDenied);
  }
  const Policy without({Ring()}, {}, [] { return kNow; }, Random);
  EXPECT_EQ(without.AdmitKubernetes(User("uid:0")).error().code, Code::kPermissionDenied);
}

TEST_F(KubernetesPolicyTest, NobodyHasAnAssertionMadeWithTheKeys) {
  for (const std::string caller : {"uid:0", "uid:5"}) {
    const auto approved =
        policy_.Approve(User(caller), {.client_id = "kubernetes", .audience = {}, .lifetime = {}, .extra_claims = {}});
    ASSERT_FALSE(approved);
    EXPECT_EQ(approved.error().code, Code::kPermissionDenied);
  }
  const auto trial = policy_.ApproveTrial({.client_id = "kubernetes", .audience = {}, .lifetime = {}});
  ASSERT_FALSE(trial);
  EXPECT_EQ(trial.error().message, "client_id: the keys of \"kubernetes\" sign service account tokens alone");
}

}  // namespace
}  // namespace assertion
