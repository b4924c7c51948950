#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "config/config.h"

namespace assertion {
namespace {

using Errors = std::vector<std::string>;

constexpr const char* kAudiences = R"("audiences": ["https://is.example.com"], )";

// A configuration whose client is on line 3.
std::expected<Config, Errors> Parse(const std::string& fields) {
  return ParseConfig(
      "{\"hsm\": \"pkcs11:token=t?module-path=/m.so&pin-source=file:/p\",\n\"listen\": \"unix:/s\",\n"
      "\"clients\": [{\"client_id\": \"orders\", \"callers\": [\"uid:1\"], " +
          fields + "}]}",
      "/state");
}

Client ClientOf(const std::string& fields) {
  const auto config = Parse(fields);
  EXPECT_TRUE(config) << fields << ": " << (config ? "" : config.error().front());
  return config ? config->clients.front() : Client();
}

Errors ErrorsOf(const std::string& fields) {
  const auto config = Parse(fields);
  EXPECT_FALSE(config) << fields;
  return config ? Errors() : config.error();
}

TEST(PurposeFields, TheDefaultIsAssertionsAlone) {
  const auto client = ClientOf(std::string(kAudiences) + R"("clock_skew": "0s")");
  EXPECT_EQ(client.purposes, std::vector{Purpose::kClientAssertion});
  EXPECT_FALSE(client.sign_with_expired_certificate);
}

TEST(PurposeFields, SeveralPurposes) {
  const auto client =
      ClientOf(std::string(kAudiences) + R"("purposes": ["dpop", "client_assertion", "request_object"])");
  for (const auto& purpose : kPurposes) {
    EXPECT_TRUE(client.IsFor(purpose.value)) << purpose.name;
  }
  EXPECT_TRUE(client.request_object.claims.contains("code_challenge_method"));
  EXPECT_TRUE(client.request_object.claims.contains("dpop_jkt"));
  EXPECT_FALSE(client.request_object.claims.contains("sub"));
  EXPECT_TRUE(client.request_object.redirect_uris.empty());
}

TEST(PurposeFields, DpopAloneNeedsNoAudiences) {
  const auto client = ClientOf(R"("purposes": ["dpop"], "algorithm": "ES256", "backdate": "5s")");
  EXPECT_EQ(client.purposes, std::vector{Purpose::kDpop});
  EXPECT_TRUE(client.audiences.empty());
  EXPECT_TRUE(client.sign_with_expired_certificate);
  EXPECT_EQ(client.profile.backdate, std::chrono::seconds(5));
  EXPECT_FALSE(
      ClientOf(R"("purposes": ["dpop"], "sign_with_expired_certificate": false)").sign_with_expired_certificate);
  EXPECT_EQ(ErrorsOf(R"("purposes": ["dpop"], "backdate": "61s")").size(), 1U);
}

TEST(PurposeFields, OtherPurposesNeedAudiences) {
  for (const auto* const fields :
       {R"("purposes": ["request_object"])", R"("purposes": ["dpop", "client_assertion"])"}) {
    EXPECT_EQ(ErrorsOf(fields), Errors{"3: clients[0].audiences: is missing"}) << fields;
  }
}

TEST(PurposeFields, RequestObjectRules) {
  const auto client = ClientOf(std::string(kAudiences) + R"("purposes": ["request_object"],
      "request_object": {"claims": ["scope", "role"], "redirect_uris": ["https://a.example/cb", "com.example:/cb"]})");
  EXPECT_EQ(client.request_object.claims, (std::set<std::string, std::less<>>{"role", "scope"}));
  EXPECT_EQ(client.request_object.redirect_uris, (std::vector<std::string>{"https://a.example/cb", "com.example:/cb"}));
  EXPECT_TRUE(ClientOf(std::string(kAudiences) + R"("purposes": ["request_object"], "request_object": {"claims": []})")
                  .request_object.claims.empty());
}

TEST(PurposeFields, ErrorsNameLineAndField) {
  const std::string object = std::string(kAudiences) + R"("purposes": ["request_object"], )";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string(kAudiences) + R"("purposes": [])", "purposes: must name at least one purpose"},
      {std::string(kAudiences) + R"("purposes": "dpop")", "purposes: must be a list of purposes"},
      {std::string(kAudiences) + R"("purposes": ["DPoP"])",
       "purposes[0]: must be one of: client_assertion, dpop, request_object; did you mean \"dpop\"?"},
      {std::string(kAudiences) + R"("purposes": ["request_objects"])",
       "purposes[0]: must be one of: client_assertion, dpop, request_object; did you mean \"request_object\"?"},
      {R"("purposes": ["dpop"], "audiences": ["https://is.example.com"])",
       "audiences: has no effect: purposes names dpop alone"},
      {R"("purposes": ["dpop"], "profile": "fapi2")", "profile: has no effect: purposes names dpop alone"},
      {R"("purposes": ["dpop"], "max_lifetime": "60s")", "max_lifetime: has no effect: purposes names dpop alone"},
      {R"("purposes": ["dpop"], "request_object": {})", "request_object: is for the purpose request_object only"},
      {object + R"("typ": "JWT")", "typ: has no effect: purposes does not name client_assertion"},
      {object + R"("max_lifetime": "3601s")",
       "max_lifetime: must be at most 1h with the purpose request_object (FAPI 2.0 Message Signing)"},
      {object + R"("request_object": {"claims": ["sub"]})",
       "request_object.claims[0]: is refused: with it a request object could pass for a client assertion (RFC 9101 "
       "section 10.8)"},
      {object + R"("request_object": {"claims": ["Request_uri"]})",
       "request_object.claims[0]: is refused: a request object has no request object inside (RFC 9101 section 4)"},
      {object + R"("request_object": {"redirect_uris": ["/callback"]})",
       "request_object.redirect_uris[0]: must be an absolute URI without fragment (RFC 6749 section 3.1.2)"},
      {object + R"("request_object": {"redirect_uris": ["https://a/#b"]})",
       "request_object.redirect_uris[0]: must be an absolute URI without fragment (RFC 6749 section 3.1.2)"},
      {R"("profile": "snowflake", "purposes": ["client_assertion", "request_object"])",
       "purposes: request_object is for the grant client-authentication only, and profile \"snowflake\" is for "
       "bearer-token"},
      {std::string(kAudiences) + R"("typ": "dpop+jwt")",
       "typ: is not that of an assertion: the field purposes says what else the key signs"},
      {std::string(kAudiences) + R"("typ": "OAuth-Authz-Req+JWT")",
       "typ: is not that of an assertion: the field purposes says what else the key signs"},
  };
  for (const auto& [fields, message] : cases) {
    const auto errors = ErrorsOf(fields);
    ASSERT_FALSE(errors.empty()) << fields;
    const auto& error = errors.front();
    EXPECT_TRUE(error.contains(": clients[0]." + message)) << fields << "\n" << error;
  }
}

TEST(PurposeFields, Duplicates) { EXPECT_EQ(ErrorsOf(R"("purposes": ["dpop", "dpop"])").size(), 1U); }

}  // namespace
}  // namespace assertion
