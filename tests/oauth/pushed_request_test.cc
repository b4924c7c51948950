#include "oauth/pushed_request.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion::oauth {
namespace {

TEST(PushedRequest, ACodeVerifierIsOfRfc7636) {
  const std::string shortest(43, 'a');
  for (const auto& good : {shortest, std::string(128, '~'), shortest + "-._~09AZ"}) {
    EXPECT_TRUE(IsCodeVerifier(good)) << good;
  }
  for (const auto& bad : {std::string(42, 'a'), std::string(129, 'a'), shortest + "+", shortest + "\xC3\xA4"}) {
    EXPECT_FALSE(IsCodeVerifier(bad)) << bad;
  }
}

// RFC 7636 appendix B.
TEST(PushedRequest, SendsTheChallengeAndNotTheVerifier) {
  EXPECT_EQ(EncodeForm(PushedFields("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
            "response_type=code&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256");
  EXPECT_EQ(EncodeForm(PushedFields("")), "response_type=code");
}

TEST(PushedRequest, OnlyARequestUriIsASuccess) {
  const auto answer = PushedAnswerOf({.status = 201, .body = R"({"request_uri":"urn:x:1","expires_in":60})"});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->request_uri, "urn:x:1");
  EXPECT_EQ(answer->expires_in, 60);
  for (const auto* body : {"", "[]", "{}", R"({"request_uri":"urn:x:1"})", R"({"expires_in":60})",
                           R"({"request_uri":7,"expires_in":60})", R"({"request_uri":"x","expires_in":"60"})"}) {
    EXPECT_FALSE(PushedAnswerOf({.status = 201, .body = body})) << body;
  }
  EXPECT_FALSE(PushedAnswerOf({.status = 400, .body = R"({"request_uri":"urn:x:1","expires_in":60})"}));
}

TEST(PushedRequest, TheAuthorizationUrlKeepsTheEndpointsQuery) {
  EXPECT_EQ(AuthorizationUrl("https://is/authorize", "a b", "urn:x:1&y"),
            "https://is/authorize?client_id=a%20b&request_uri=urn%3ax%3a1%26y");
  EXPECT_EQ(AuthorizationUrl("https://is/authorize?t=1", "orders", "u"),
            "https://is/authorize?t=1&client_id=orders&request_uri=u");
}

}  // namespace
}  // namespace assertion::oauth
