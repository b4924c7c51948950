#include "cli/console/login_part.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

namespace assertion::cli {
namespace {

TEST(LoginPart, AWordIsOneWordForTheShell) {
  EXPECT_EQ(ShellLine({"a", "--b=c:/d", "$(rm x)", "it's", ""}), "a --b=c:/d '$(rm x)' 'it'\\''s' ''");
}

TEST(LoginPart, AnIncompleteFormGivesNoCommand) {
  EXPECT_EQ(LoginCommand({{"client_id", "orders"}}, "unix:/s", ""), "");
}

TEST(LoginPart, AValueIsNeitherAFlagNorMarkupNorALine) {
  const auto html = LoginCommand({{"client_id", "--no-browser"}, {"issuer", "https://a/<b>"}}, "unix:/s", "/ca.pem");
  EXPECT_NE(html.find("oidc login --client-id=--no-browser &#39;--issuer=https://a/&lt;b&gt;&#39; --ca-file=/ca.pem<"),
            std::string::npos)
      << html;
  EXPECT_EQ(LoginCommand({{"client_id", "a\nrm -r x"}, {"issuer", "https://a"}}, "unix:/s", ""), "");
}

TEST(LoginPart, EmptyFieldsAreTheDefaultsOfTheCommandLine) {
  const auto request =
      LoginRequestOf(LoginFields({{"client_id", "orders"}, {"issuer", "https://a"}, {"scope", ""}, {"do", "log-in"}}));
  const LoginRequest defaults;
  EXPECT_EQ(request.client_id, "orders");
  EXPECT_EQ(request.scope, defaults.scope);
  EXPECT_EQ(request.redirect_uri, defaults.redirect_uri);
  EXPECT_EQ(LoginRequestOf({{"scope", "openid email"}, {"redirect_uri", "http://127.0.0.1:1/x"}}).scope,
            "openid email");
}

class TrialPartTest : public testing::Test {
 protected:
  static std::string Waiting(const std::string& url) {
    const auto session = ConsoleSession::New([](std::span<std::uint8_t>) { return true; }, std::chrono::seconds(1), {});
    return TrialPart({.stage = TrialState::Stage::kWaiting, .url = url}, *session);
  }
};

TEST_F(TrialPartTest, TheLinkTellsTheProviderNothingOfThePage) {
  const auto html = Waiting("https://is.example/auth?client_id=a&state=b");
  EXPECT_NE(html.find("href=\"https://is.example/auth?client_id=a&amp;state=b\" target=\"_blank\" "
                      "rel=\"noopener noreferrer\">"),
            std::string::npos)
      << html;
  EXPECT_NE(Waiting("http://127.0.0.1:3000/auth").find("href=\"http://127.0.0.1"), std::string::npos);
}

TEST_F(TrialPartTest, OnlyAddressesOfWebServersAreLinks) {
  for (const auto* const url : {"javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:x", " https://is.example/",
                                "http://is.example/auth", "//is.example/", "file:///etc", ""}) {
    const auto html = Waiting(url);
    EXPECT_EQ(html.find("href"), std::string::npos) << html;
  }
}

TEST_F(TrialPartTest, WhatTheProviderSaidIsText) {
  TrialState state{.stage = TrialState::Stage::kEnded, .next = "<b>next</b>"};
  state.record.failure = "<script>alert(1)</script>";
  state.record.steps.push_back(
      {.title = "x", .request = "GET \"><img>", .sent = {{"<i>", "<u>"}}, .received = "<pre>"});
  const auto session = ConsoleSession::New([](std::span<std::uint8_t>) { return true; }, std::chrono::seconds(1), {});
  const auto html = TrialPart(state, *session);
  for (const auto* const markup : {"<script", "<img", "<i>", "<u>", "<b>", "<pre><pre>"}) {
    EXPECT_EQ(html.find(markup), std::string::npos) << html;
  }
  EXPECT_NE(html.find("Not logged in: &lt;script&gt;"), std::string::npos) << html;
}

}  // namespace
}  // namespace assertion::cli
