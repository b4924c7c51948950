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
  const auto shown = WithoutSecrets(AnswerNested(31));
  EXPECT_TRUE(shown.starts_with("HTTP 200\n{")) << shown;
  EXPECT_EQ(shown.find("secret-of-16-oct"), std::string::npos);
  // Each level is indented further: 20,000 of them took gigabytes.
  EXPECT_EQ(WithoutSecrets(AnswerNested(32)),
            "HTTP 200, 104 octets that are no JSON object or are nested more than 32 deep");
}

}  // namespace
}  // namespace assertion::cli
