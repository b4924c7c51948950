// What callers may choose under a profile, and what a key adds to its claims.

#include "assertion/profile.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assertion/template.h"
#include "policy/profiled_assertion.h"

namespace assertion {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr const char* kRsaThumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

class ProfileTest : public testing::Test {
 protected:
  ProfileTest() {
    client_.client_id = "orders";
    client_.audiences = {"https://is.example.com/token"};
    client_.profile.grant = Grant::kJwtBearer;
  }

  Result<Unsigned> Make(bool certified = true) { return ProfiledAssertion(client_, request_, certified); }
  json Claims() { return json::parse(Make().value().claims); }
  std::string Refusal(bool certified = true) {
    const auto made = Make(certified);
    return made ? "" : made.error().message;
  }

  Client client_;
  AssertionRequest request_{.client_id = "orders", .audience = {}, .lifetime = {}};
};

TEST_F(ProfileTest, NobodyNamesASubjectByDefault) {
  request_.subject = "ann";
  EXPECT_EQ(Refusal(), R"(subject: "ann" is not among the subjects configured for client "orders")");
  request_.subject = "orders";
  EXPECT_NE(Refusal(), "") << "not even the client's own";
}

TEST_F(ProfileTest, SubjectsAreExactOrAnchoredPatterns) {
  client_.profile.subjects = {"ann@other.example", "svc-*@shop.example"};
  for (const auto* const allowed : {"ann@other.example", "svc-a@shop.example", "svc-A.b_c+d-9@shop.example"}) {
    request_.subject = allowed;
    EXPECT_EQ(Claims()["sub"], allowed);
  }
  for (const std::string refused :
       {"Ann@other.example", "xann@other.example", "ann@other.examplex", "svc-@shop.example", "xsvc-a@shop.example",
        "svc-a@shop.example.org", "svc-a@evil.example@shop.example", "svc-a b@shop.example", "svc-a\"@shop.example",
        "svc-a\n@shop.example", "svc-a/../b@shop.example", "svc-\xC3\xA4@shop.example", "svc-*@shop.example",
        "svc-{kid}@shop.example"}) {
    request_.subject = refused;
    EXPECT_NE(Refusal(), "") << refused;
  }
  const auto longest = "svc-" + std::string(Policy::kMaxSubjectOctets - 17, 'a') + "@shop.example";
  request_.subject = longest;
  EXPECT_EQ(Refusal(), "");
  const auto longer = "svc-a" + longest.substr(4);
  request_.subject = longer;
  EXPECT_NE(Refusal(), "");
}

TEST_F(ProfileTest, ASubjectWithoutDefaultMustBeNamed) {
  client_.profile.subject = "";
  EXPECT_FALSE(Claims().contains("sub")) << "nobody may name one: there is none";
  client_.profile.subjects = {"ann"};
  EXPECT_EQ(Refusal(), R"(subject: must be set: it has no default for client "orders")");
}

TEST_F(ProfileTest, ScopesAreTheConfiguredOnesOrFewer) {
  EXPECT_FALSE(Claims().contains("scope"));
  client_.profile.scopes = {"read", "write"};
  EXPECT_EQ(Claims()["scope"], "read write");
  request_.scope = "write";
  EXPECT_EQ(Claims()["scope"], "write");
  for (const auto* const refused : {"admin", "read admin", " read", "read ", "read  write", "READ", "read,write"}) {
    request_.scope = refused;
    EXPECT_TRUE(Refusal().starts_with("scope: ")) << refused;
  }
}

TEST_F(ProfileTest, ScopeWithoutConfiguredScopesIsRefused) {
  request_.scope = "read";
  EXPECT_EQ(Refusal(), R"(scope: "read" is not among the scopes configured for client "orders")");
}

TEST_F(ProfileTest, TimesAreBackdatedTogether) {
  client_.profile.backdate = seconds(60);
  client_.profile.nbf = true;
  const auto claims = Claims();
  EXPECT_EQ(claims["iat"], 1'699'999'940);
  EXPECT_EQ(claims["nbf"], 1'699'999'940);
  EXPECT_EQ(claims["exp"], 1'700'000'240) << "counted from iat";
}

TEST_F(ProfileTest, JtiHasTheConfiguredForm) {
  client_.profile.jti = JtiForm::kHex;
  client_.profile.jti_length = 40;
  EXPECT_EQ(Claims()["jti"], std::string(40, 'f'));
  client_.profile.jti = JtiForm::kNone;
  EXPECT_FALSE(Claims().contains("jti"));
}

TEST_F(ProfileTest, TemplatesTakeWordsOfTheKey) {
  client_.profile.issuer = "{client_id}/{kid}/{x5t#S256}/{fingerprint:SHA256}/end";
  client_.profile.subject = "sub:{kid}";
  const auto claims = Claims();
  EXPECT_EQ(claims["iss"], std::string("orders/") + kRsaThumbprint +
                               "/n5EWH0NDPkmm3m22gNefYBWfLkrJFyYhoShGQoFYRAs/"
                               "rTIyDPbFltiEsFOBulc6uo3dV0m03o9KI6efmondrrI=/end");
  EXPECT_EQ(claims["sub"], std::string("sub:") + kRsaThumbprint);
  EXPECT_TRUE(Refusal(/*certified=*/false).contains("no value for {x5t#S256}"));
}

TEST_F(ProfileTest, WhatLooksLikeATemplateElsewhereStays) {
  client_.client_id = "{kid}";
  request_.client_id = "{kid}";
  client_.audiences = {"https://is.example.com/{kid}"};
  client_.extra_claims = {"note"};
  request_.extra_claims_json = R"({"note":"{kid} {client_id}"})";
  client_.profile.issuer = "{client_id}:{kid}";
  const auto claims = Claims();
  EXPECT_EQ(claims["iss"], std::string("{kid}:") + kRsaThumbprint);
  EXPECT_EQ(claims["sub"], "{kid}");
  EXPECT_EQ(claims["aud"], "https://is.example.com/{kid}");
  EXPECT_EQ(claims["note"], "{kid} {client_id}");
}

TEST_F(ProfileTest, AnAssignedKidIsOfThatKeyAlone) {
  client_.profile.kid = KidForm::kAssigned;
  client_.profile.kids = {{std::string(43, 'x'), "theirs"}};
  EXPECT_EQ(Refusal(), std::string("client 'orders' cannot sign: key ") + kRsaThumbprint +
                           " has no kid of the other party: add it to the client's field kids");
  client_.profile.kids.emplace(kRsaThumbprint, "ours");
  EXPECT_EQ(json::parse(Make().value().header)["kid"], "ours");
}

TEST_F(ProfileTest, KidsOfCertificates) {
  client_.profile.kid = KidForm::kX5t;
  EXPECT_EQ(json::parse(Make().value().header)["kid"].get<std::string>().size(), 27U);
  EXPECT_TRUE(Refusal(/*certified=*/false).contains("no certificate"));
  client_.profile.kid = KidForm::kX5tS256;
  EXPECT_EQ(json::parse(Make().value().header)["kid"].get<std::string>().size(), 43U);
  EXPECT_TRUE(Refusal(/*certified=*/false).contains("no certificate"));
}

TEST_F(ProfileTest, AProfileWithoutAudienceTakesNone) {
  client_.audiences.clear();
  EXPECT_FALSE(Claims().contains("aud"));
  request_.audience = "https://is.example.com/token";
  EXPECT_TRUE(Refusal().starts_with("audience: ")) << Refusal();
}

TEST(TemplateTest, WordsAndBraces) {
  EXPECT_EQ(ParseTemplate("a{kid}b")->size(), 2U);
  EXPECT_EQ(ParseTemplate("{kid}{client_id}")->size(), 2U);
  EXPECT_EQ(ParseTemplate("plain")->front().word, std::nullopt);
  EXPECT_TRUE(ParseTemplate("")->empty());
  for (const auto* const wrong : {"{", "}", "{}", "a}b", "{kid", "{KID}", "{{kid}}", "{kid}}", "{fingerprint}"}) {
    EXPECT_FALSE(ParseTemplate(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace assertion
