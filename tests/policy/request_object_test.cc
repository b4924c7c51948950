// Request objects: header and claims, octet for octet, and what is refused (RFC 9101).

#include "assertion/request_object.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "policy/policy.h"
#include "policy/profiled_assertion.h"

namespace assertion {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr const char* kIssuer = "https://is.example.com";

// Every test starts from a request that is approved, and changes one thing.
class RequestObjectTest : public testing::Test {
 protected:
  RequestObjectTest() {
    client_.client_id = "orders";
    client_.purposes = {Purpose::kRequestObject};
    client_.audiences = {kIssuer, "https://other.example.com"};
    client_.algorithm = FindAlgorithm("ES256");
  }

  Result<Unsigned> Make() {
    request_.claims = object_.is_null() ? nullptr : &object_;
    return UnsignedRequestObject(client_, request_);
  }

  void ExpectRefused(const std::string& message) {
    const auto made = Make();
    ASSERT_FALSE(made) << made->claims;
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    EXPECT_EQ(made.error().message, message);
  }

  Client client_;
  json object_;
  RequestObjectRequest request_{.client_id = "orders", .audience = {}, .lifetime = {}};
};

TEST_F(RequestObjectTest, HeaderAndClaims) {
  request_.claims_json = R"({"response_type":"code", "redirect_uri":"https://client.example/callback","max_age":1.0})";
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->header,
            R"({"alg":"ES256","kid":"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U","typ":"oauth-authz-req+jwt"})");
  EXPECT_EQ(made->claims,
            R"({"iss":"orders","client_id":"orders","aud":"https://is.example.com","iat":1700000000,"nbf":1700000000,)"
            R"("exp":1700000300,"jti":"ffffffff-ffff-4fff-bfff-ffffffffffff","response_type":"code", )"
            R"("redirect_uri":"https://client.example/callback","max_age":1.0})");
}

TEST_F(RequestObjectTest, WithoutParametersItIsWhole) {
  EXPECT_TRUE(Make()->claims.ends_with(R"("jti":"ffffffff-ffff-4fff-bfff-ffffffffffff"})"));
  request_.claims_json = "{ }";
  EXPECT_TRUE(Make()->claims.ends_with(R"("jti":"ffffffff-ffff-4fff-bfff-ffffffffffff"})"));
}

TEST_F(RequestObjectTest, AnAudienceThatIsConfigured) {
  request_.audience = "https://other.example.com";
  EXPECT_EQ(json::parse(Make()->claims)["aud"], "https://other.example.com");
  request_.audience = "https://is.example.com/";
  ExpectRefused(
      "audience: \"https://is.example.com/\" is not configured for client \"orders\"; it must match octet for octet; "
      "did "
      "you mean \"https://is.example.com\"?");
}

TEST_F(RequestObjectTest, TheLifetimeIsTheClients) {
  client_.max_lifetime = seconds(600);
  client_.profile.backdate = seconds(10);
  request_.lifetime = seconds(600);
  const auto claims = json::parse(Make()->claims);
  EXPECT_EQ(claims["nbf"], 1'699'999'990);
  EXPECT_EQ(claims["iat"], 1'699'999'990);
  EXPECT_EQ(claims["exp"], 1'700'000'590) << "counted from nbf";
  request_.lifetime = seconds(601);
  ExpectRefused("lifetime: 601s is above this client's maximum of 600s");
}

TEST_F(RequestObjectTest, HeaderIsThatOfTheProfileButForTyp) {
  client_.profile.typ = "client-authentication+jwt";
  client_.profile.kid = KidForm::kAssigned;
  client_.profile.kids = {{"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", "theirs"}};
  client_.profile.jti = JtiForm::kNone;
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->header, R"({"alg":"ES256","kid":"theirs","typ":"oauth-authz-req+jwt"})");
  EXPECT_TRUE(made->claims.contains(R"("jti":"ffffffff-)"));
}

// So an entry with a key of its own makes request objects for a client whose assertions another key signs.
TEST_F(RequestObjectTest, IssAndClientIdAreTheConfiguredIssuer) {
  client_.profile.issuer = "shop/{kid}";
  const auto claims = json::parse(Make()->claims);
  EXPECT_EQ(claims["iss"], "shop/oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
  EXPECT_EQ(claims["client_id"], claims["iss"]);
  EXPECT_FALSE(claims.contains("sub"));
}

TEST_F(RequestObjectTest, ReservedNamesAreRefusedInBothForms) {
  client_.request_object.claims.insert({"sub", "Iss"});  // even if the configuration had let them pass
  for (const std::string name : {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "client_id", "request",
                                 "request_uri", "Sub", "Client_Id", "REQUEST", "i\xC5\xBFs"}) {
    object_ = {{name, "x"}};
    EXPECT_TRUE(Make().error().message.starts_with("claims: ")) << name;
    const auto text = object_.dump();
    object_ = nullptr;
    request_.claims_json = text;
    const auto made = Make();
    ASSERT_FALSE(made) << made->claims;
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(made.error().message.contains("is reserved") || made.error().message.contains("is refused"))
        << made.error().message;
    request_.claims_json = {};
  }
  request_.claims_json = R"({"s\u0075b":"orders"})";
  ExpectRefused(
      "claims_json: \"sub\" is refused: with it a request object could pass for a client assertion (RFC 9101 section "
      "10.8)");
}

TEST_F(RequestObjectTest, OnlyConfiguredNames) {
  object_ = {{"role", "admin"}};
  ExpectRefused("claims: \"role\" is not among the request_object.claims of client \"orders\"");
  client_.request_object.claims = {"role"};
  EXPECT_EQ(json::parse(Make()->claims)["role"], "admin");
  object_ = {{"scope", "openid"}};
  ExpectRefused("claims: \"scope\" is not among the request_object.claims of client \"orders\"");
  client_.extra_claims = {"scope"};
  ExpectRefused("claims: \"scope\" is not among the request_object.claims of client \"orders\"");
}

TEST_F(RequestObjectTest, RedirectUrisAreThoseOfTheConfigurationIfItHasSome) {
  client_.request_object.redirect_uris = {"https://client.example/callback"};
  EXPECT_TRUE(Make()) << "none is given: the server has it registered";
  for (const auto* const right : {R"({"redirect_uri":"https://client.example/callback"})",
                                  R"({"redirect_uri" : "https:\/\/client.example\/callback", "max_age":1e400})"}) {
    request_.claims_json = right;
    EXPECT_TRUE(Make()) << right;
  }
  for (const auto* const wrong :
       {R"("https://client.example/callback/")", R"("https://evil.example/callback")", R"("")", "null", "1",
        R"(["https://client.example/callback"])", R"({"a":"https://client.example/callback"})"}) {
    const auto text = R"({"state":"a","redirect_uri":)" + std::string(wrong) + "}";
    request_.claims_json = text;
    const auto made = Make();
    ASSERT_FALSE(made) << made->claims;
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(made.error().message.starts_with("redirect_uri: ")) << made.error().message;
  }
  request_.claims_json = {};
  object_ = {{"redirect_uri", "https://evil.example/callback"}};
  ExpectRefused(
      "redirect_uri: \"\\x22https://evil.example/callback\\x22\" is not among the request_object.redirect_uris of "
      "client \"orders\"; it must match octet for octet");
}

TEST_F(RequestObjectTest, BothFormsAtOnceAndTooMuch) {
  object_ = {{"state", "a"}};
  request_.claims_json = "{}";
  ExpectRefused("claims_json: must not be set beside claims");
  request_.claims_json = {};
  object_ = {{"state", std::string(Policy::kMaxExtraClaimsOctets, 'a')}};
  ExpectRefused("claims: more than 8192 octets as JSON");
  const auto text = object_.dump();
  object_ = nullptr;
  request_.claims_json = text;
  ExpectRefused("claims_json: more than 8192 octets as JSON");
  request_.claims_json = R"({"state":"a","state":"b"})";
  EXPECT_FALSE(Make());
}

}  // namespace
}  // namespace assertion
