#include "cli/oidc/redirect_uri_refusal.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion::cli {
namespace {

constexpr const char* kUri = "http://127.0.0.1:8400/callback";

std::string RefusalOfPage(int status, const std::string& body) {
  return RedirectUriRefusal({.status = status, .body = body}, kUri);
}

std::string RefusalOfRedirect(const std::string& location) {
  return RedirectUriRefusal({.status = 302, .body = {}, .location = location}, kUri);
}

TEST(RedirectUriRefusal, IsReadFromPagesOfEachProvider) {
  EXPECT_EQ(
      RefusalOfPage(400, "<html><style>p{}</style><p>We are  sorry...</p>\n<p>Invalid parameter: redirect_uri</p>"),
      "HTTP 400, its page says \" We are sorry... Invalid parameter: redirect_uri \"");
  for (const auto* const page :
       {"<h2>Error 400: redirect_uri_mismatch</h2>", "Callback URL mismatch.",
        "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings",
        "AADSTS50011: The redirect URI 'http://127.0.0.1:8400/callback' specified in the request does not match",
        "The redirection URI provided does not match a pre-registered value."}) {
    EXPECT_NE(RefusalOfPage(400, page), "") << page;
    EXPECT_EQ(RefusalOfPage(200, page), "") << page;
    EXPECT_EQ(RefusalOfPage(500, page), "") << page;
  }
}

TEST(RedirectUriRefusal, IsReadFromJson) {
  EXPECT_EQ(RefusalOfPage(400, R"({"error":"invalid_redirect_uri","error_description":"not registered"})"),
            R"(HTTP 400, "invalid_redirect_uri", "not registered")");
  EXPECT_EQ(RefusalOfPage(400, R"({"error":"invalid_request","redirect_uri":"http://127.0.0.1:8400/callback"})"), "");
  EXPECT_EQ(RefusalOfPage(400, R"({"error":"invalid_scope","error_description":"for http://127.0.0.1:8400/callback"})"),
            "");
}

TEST(RedirectUriRefusal, IsReadFromARedirectToAnErrorPage) {
  EXPECT_EQ(
      RefusalOfRedirect("https://is.example/authenticationendpoint/oauth2_error.do?oauthErrorCode=invalid_callback"
                        "&oauthErrorMsg=Registered+callback+does+not+match+with+the+provided+url."),
      "its error page says \"invalid_callback, Registered callback does not match with the provided url.\"");
  EXPECT_NE(RefusalOfRedirect("/error?error=redirect_mismatch&client_id=orders#x"), "");
}

// Each is an answer to prompt=none after which a person can still log in.
TEST(RedirectUriRefusal, AnswersOfProvidersThatKnowItAreNone) {
  for (const auto* const location :
       {"http://127.0.0.1:8400/callback?error=login_required&state=x",
        "http://127.0.0.1:8400/callback?error=invalid_request&error_description=no+redirect+with+prompt",
        "/login?redirect_uri=http%3A%2F%2F127.0.0.1%3A8400%2Fcallback&prompt=none",
        "/login?error=http%3A%2F%2F127.0.0.1%3A8400%2Fcallback", "/error?error=login_required", "/error?error=%zz", "",
        "?", "#"}) {
    EXPECT_EQ(RefusalOfRedirect(location), "") << location;
  }
  for (const auto* const page :
       {"", "<", "<script", "<a href='/?redirect_uri=x'>German</a> Session expired",
        "<script>const redirect_uri = 1;</script> prompt=none is not allowed",
        "You will be redirected to the log-in page", "Request details: redirect_uri=http://127.0.0.1:8400/callback",
        "<p>Client not found, asked by http://127.0.0.1:8400/callback url</p>"}) {
    EXPECT_EQ(RefusalOfPage(400, page), "") << page;
  }
}

TEST(RedirectUriRefusal, OfAPushedRequestIsNotTheUriItself) {
  EXPECT_TRUE(NamesRedirectUri("Registered Callback does not match", kUri));
  EXPECT_FALSE(NamesRedirectUri("invalid_scope, asked for http://127.0.0.1:8400/callback", kUri));
}

}  // namespace
}  // namespace assertion::cli
