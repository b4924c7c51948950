#include "oauth/token_request.h"

#include <gtest/gtest.h>

namespace assertion::oauth {
namespace {

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
  EXPECT_EQ(ReasonOf({.status = 401, .body = R"({"error":"invalid_client","error_description":"a\n\"b\u202e"})"}),
            R"(HTTP 401, "invalid_client", "a\x0a\x22b\xe2\x80\xae")");
  EXPECT_EQ(ReasonOf({.status = 502, .body = "<html>"}), "HTTP 502");
}

}  // namespace
}  // namespace assertion::oauth
