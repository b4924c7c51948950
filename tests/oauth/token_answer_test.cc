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

TEST(TokenAnswer, ScopeIsTextOrAbsent) {
  const auto scope_of = [](const std::string& scope) {
    auto answer = Granted(R"({"access_token":"t","token_type":"Bearer","scope":)" + scope + "}");
    const auto token = TakeToken(answer);
    return token ? token->scope : "refused";
  };
  EXPECT_EQ(scope_of(R"("read admin")"), "read admin");
  EXPECT_EQ(scope_of("null"), "");
  EXPECT_EQ(scope_of(R"("")"), "");
  EXPECT_EQ(scope_of(R"(" read   admin ")"), "read admin");
  // Read as "as asked", these would hide what was granted.
  EXPECT_EQ(scope_of(R"(["read","admin"])"), "refused");
  EXPECT_EQ(scope_of(R"("admin\n")"), "refused");
  EXPECT_EQ(scope_of('"' + std::string(5000, 'a') + '"'), "refused");
}

// RFC 6749 section 3.3: names, a blank between each two. More blanks name no other scope.
TEST(TokenAnswer, ScopeHasTheSyntaxOfTheRfc) {
  const auto is_taken = [](const std::string& scope) {
    auto answer = Granted(R"({"access_token":"t","token_type":"Bearer","scope":")" + scope + "\"}");
    return TakeToken(answer).has_value();
  };
  for (const auto* const right : {"read", "read write", "!#[]~ https://api.example.com/x?y", "a,b;c"}) {
    EXPECT_TRUE(is_taken(right)) << right;
  }
  for (const auto* const wrong : {R"(\"read\")", R"(re\\ad)", R"(read\twrite)", R"(read\u0000)", "h\u00f6he"}) {
    EXPECT_FALSE(is_taken(wrong)) << wrong;
  }
}

// Sent as "Authorization: Bearer TOKEN", another token would be read, or two.
TEST(TokenAnswer, ATokenIsOneWordOfAHeaderField) {
  const auto fault = [](const std::string& token) {
    auto answer = Granted(R"({"token_type":"Bearer","access_token":")" + token + "\"}");
    const auto taken = TakeToken(answer);
    return taken ? "" : taken.error().message;
  };
  for (const auto* const right : {"t", "eyJ.a-b_c~d+e/f==", "1|of:another.kind!"}) {
    EXPECT_EQ(fault(right), "");
  }
  for (const auto* const wrong : {" t", "t ", "t t", "t,Basic"}) {
    EXPECT_TRUE(fault(wrong).contains("RFC 6750")) << wrong;
  }
  for (const auto* const wrong : {"", R"(t\r\nX: 1)", R"(t\u0000)"}) {
    EXPECT_TRUE(fault(wrong).contains("not printable ASCII")) << wrong;
  }
}

// RFC 6749 appendix A.13. Callers write it before the token: "Authorization: TYPE TOKEN".
TEST(TokenAnswer, ATokenTypeIsANameOrAUri) {
  const auto fault = [](const std::string& type) {
    auto answer = Granted(R"({"access_token":"t","token_type":")" + type + "\"}");
    const auto taken = TakeToken(answer);
    return taken ? "" : taken.error().message;
  };
  for (const auto* const right : {"Bearer", "bearer", "DPoP", "N_A", "x-1.0", "urn:ietf:params:oauth:token-type:jwt",
                                  "https://example.com/types?a=1#b%20c"}) {
    EXPECT_EQ(fault(right), "") << right;
  }
  for (const auto* const wrong : {"Bearer stolen,", "Bearer ", " ", "Bearer,", "<script>", R"(\"Bearer\")",
                                  "https://example.com/a b", "urn:a,b", R"(urn:a\\b)", "urn:<a>"}) {
    EXPECT_TRUE(fault(wrong).contains("token_type")) << wrong << fault(wrong);
  }
  EXPECT_TRUE(fault("").contains("has no token_type"));
  EXPECT_TRUE(fault(R"(Bearer\u000d\u000aX: 1)").contains("has no token_type"));
}

// RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E. It goes into the audit log.
TEST(TokenAnswer, AnErrorHasTheCharactersOfTheRfcAlone) {
  const auto error = [](const std::string& text) {
    return ErrorOf({.status = 400, .body = R"({"error":")" + text + R"("})"});
  };
  EXPECT_EQ(error("invalid_client"), "invalid_client");
  EXPECT_EQ(error(" !#[]~"), " !#[]~");
  EXPECT_EQ(error(std::string(64, 'e')), std::string(64, 'e'));
  for (const auto* const wrong : {R"(a\"b)", R"(a\\b)", R"(a\u001bb)", R"(a\u007f)", "h\u00f6he"}) {
    EXPECT_EQ(error(wrong), "") << wrong;
  }
  EXPECT_EQ(error(std::string(65, 'e')), "");
}

TEST(TokenAnswer, RetryAfterIsADayAtMost) {
  using std::chrono::seconds;
  const auto now = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 50));
  const seconds day = std::chrono::days(1);
  EXPECT_EQ(RetryAfterOf("20", now), seconds(20));
  for (const auto* text : {"9223372036854775807", "9223372036854775808", "99999999999999999999999999", "86401",
                           "Fri, 31 Dec 9999 23:59:59 GMT"}) {
    EXPECT_EQ(RetryAfterOf(text, now), day) << text;
  }
  EXPECT_EQ(RetryAfterOf("Thu, 01 Jan 1970 00:00:00 GMT", now), seconds(0));
  for (const auto* text : {"", "-1", "+1", "1.5", "soon"}) {
    EXPECT_FALSE(RetryAfterOf(text, now)) << text;
  }
}

}  // namespace
}  // namespace assertion::oauth
