#include "cli/oidc/login_record.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion::cli {
namespace {

oauth::HttpAnswer AnswerNested(std::size_t levels) {
  return {
      .status = 200,
      .body = R"({"access_token":"secret-of-16-oct","a":)" + std::string(levels, '[') + std::string(levels, ']') + "}"};
}

TEST(LoginRecord, AnAnswerIsShownDownToThirtyTwoLevels) {
  const auto shown = AnswerText(LoginSecrets().CutFrom(AnswerNested(31)));
  EXPECT_TRUE(shown.starts_with("HTTP 200\n{")) << shown;
  EXPECT_EQ(shown.find("secret-of-16-oct"), std::string::npos);
  // Each level is indented further: 20,000 of them took gigabytes.
  EXPECT_EQ(AnswerText(LoginSecrets().CutFrom(AnswerNested(32))),
            "HTTP 200, 104 octets that are no JSON object or are nested more than 32 deep");
}

TEST(LoginSecrets, AreCutBetweenCharacters) {
  EXPECT_EQ(Cut("the-code-of-22-octets!"), "the-c… (22 characters)");
  EXPECT_EQ(Cut("abcdéééééééééééééééééé"), "abcdé… (40 characters)");
  EXPECT_EQ(Cut("abcdeééééééééééééééééé"), "abcde… (39 characters)");
  EXPECT_EQ(Cut("ééé"), "… (6 characters)");
}

TEST(LoginSecrets, AreCutByNameAtAnyDepth) {
  LoginSecrets secrets;
  const auto shown = AnswerText(secrets.CutFrom(oauth::HttpAnswer{
      .status = 400,
      .body = R"({"a":[{"refresh_token":"the-refresh-token-of-32-octets-x","state":{"x":"deep-secret"}}],"code":7})"}));
  EXPECT_EQ(shown.find("the-refresh-token"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("deep-secret"), std::string::npos) << shown;
  EXPECT_EQ(shown.find('7'), std::string::npos) << shown;
}

TEST(LoginSecrets, AreCutByValueWhereverTheyStand) {
  LoginSecrets secrets;
  secrets.Add("the/assertion+and\"more");
  const auto description =
      "it was the/assertion+and\\\"more, as the%2Fassertion%2Band%22more; expected the/assertion+and\\\"more";
  const auto answer = secrets.CutFrom(oauth::HttpAnswer{
      .status = 400,
      .body = std::string(R"({"error":"invalid_client","x":{"error_description":")") + description + "\"}}"});
  for (const auto& shown : {AnswerText(answer), answer.body}) {
    EXPECT_EQ(shown.find("more"), std::string::npos) << shown;
    EXPECT_NE(shown.find("invalid_client"), std::string::npos) << shown;
    EXPECT_NE(shown.find("expected the/a… (22 characters)"), std::string::npos) << shown;
  }
}

// A provider may send a token in one answer, and name it in others.
TEST(LoginSecrets, OfAGrantAreCutFromTheWholeRecord) {
  LoginSecrets secrets;
  secrets.CutFrom(oauth::HttpAnswer{.status = 200, .body = R"({"more":{"access_token":"the-access-token"}})"});
  secrets.CutFrom(oauth::HttpAnswer{.status = 400, .body = R"({"code":"invalid_grant"})"});
  LoginRecord record;
  record.failure = "no: the-access-token, invalid_grant";
  record.claims = {{"sub", {"the-access-token"}}, {"nonce", "n"}};
  record.steps.push_back({.title = "t",
                          .request = "GET /the-access-token",
                          .sent = {{"error_description", "the-access-token"}},
                          .received = "the-access-token"});
  record.checks.push_back({"sub", "sub is the-access-token"});
  const auto cut = secrets.CutFrom(record);
  for (const auto& shown : {LoginPage(cut), LoginJson(cut).dump()}) {
    EXPECT_EQ(shown.find("the-access-token"), std::string::npos) << shown;
    EXPECT_NE(shown.find("invalid_grant"), std::string::npos) << shown;
  }
}

TEST(LoginSecrets, OfAHostileAnswerAreBounded) {
  auto answer = nlohmann::json::object();
  for (int i = 0; i < 5000; ++i) {
    answer["x" + std::to_string(i)] = {{"code", std::to_string(100'000 + i) + std::string(80, '%')}};
    answer["y" + std::to_string(i)] = "text";
  }
  LoginSecrets secrets;
  const auto cut = secrets.CutFrom({.status = 201, .body = answer.dump()});
  EXPECT_FALSE(cut.body.contains(std::string(20, '%'))) << "members are cut by their names all the same";
  EXPECT_EQ(secrets.CutFrom(std::string("100000") + std::string(80, '%')), Cut("100000" + std::string(80, '%')));
  const auto last = "104999" + std::string(80, '%');
  EXPECT_EQ(secrets.CutFrom(last), last) << "so many are not looked for in each text";
}

TEST(LoginSecrets, AreCountedWholeThoughTheyAreCutTwice) {
  LoginSecrets secrets;
  const std::string state = "a-state-of-twenty-seven-oct";
  secrets.Add(state);
  LoginRecord record;
  record.steps.push_back({.title = "t",
                          .request = "POST /par",
                          .sent = secrets.CutFrom(oauth::FormFields{{"state", state}, {"client_assertion", "e.y.J"}}),
                          .received = ""});
  const auto cut = secrets.CutFrom(record);
  EXPECT_EQ(cut.steps.front().sent,
            (oauth::FormFields{{"state", "a-stat… (27 characters)"}, {"client_assertion", "e… (5 characters)"}}));
}

}  // namespace
}  // namespace assertion::cli
