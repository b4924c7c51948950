#include "oauth/token_answer.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion::oauth {
namespace {

HttpAnswer Granted(std::string body) { return {.status = 200, .body = std::move(body)}; }

std::string Repeated(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) {
    text += part;
  }
  return text;
}

TEST(TokenAnswer, NestingEndsNoProcess) {
  constexpr std::size_t kLevels = 400'000;
  for (const auto& nested : {std::string(kLevels, '[') + std::string(kLevels, ']'),
                             Repeated(R"({"a":)", kLevels) + "1" + std::string(kLevels, '}')}) {
    for (const auto& body : {nested, R"({"access_token":"t","token_type":"Bearer","more":)" + nested + "}"}) {
      auto answer = Granted(body);
      const auto token = TakeToken(answer);
      ASSERT_FALSE(token);
      EXPECT_EQ(token.error().code, Code::kUnavailable);
      EXPECT_EQ(answer.body.find_first_not_of('\0'), std::string::npos) << "the text is not wiped";
      EXPECT_EQ(ErrorOf({.status = 400, .body = body}), "");
    }
  }
}

TEST(TokenAnswer, AnOrdinaryGrantIsTakenAndTheRestWiped) {
  auto answer = Granted(R"({"access_token":"t","token_type":"Bearer","expires_in":"300","claims":{"a":[1]}})");
  const auto token = TakeToken(answer);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->expires_in, std::chrono::seconds(300));
  EXPECT_EQ(answer.body.find_first_not_of('\0'), std::string::npos);
}

}  // namespace
}  // namespace assertion::oauth
