#include "cli/token/advice.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

std::string AdviceForError(const std::string& error) {
  return AdviceFor({.status = 400, .body = R"({"error":")" + error + R"("})"});
}

TEST(Advice, FollowsTheErrorCode) {
  EXPECT_TRUE(AdviceForError("invalid_client").starts_with("compare audience, certificate and clock"));
  for (const auto* error : {"invalid_grant", "unauthorized_client", "invalid_scope", "invalid_target", "new_error"}) {
    EXPECT_EQ(AdviceForError(error).find("certificate"), std::string::npos) << error;
  }
  EXPECT_NE(AdviceForError("invalid_scope").find("--scope"), std::string::npos);
}

TEST(Advice, FollowsTheStatusWhereNoErrorCodeIsKnown) {
  for (const auto status : {404, 405}) {
    for (const auto* body : {"not found", R"({"error":"invalid_request"})"}) {
      EXPECT_EQ(
          AdviceFor({.status = status, .body = body}),
          "check the path of the endpoint's URL: is it the token endpoint? token request --issuer URL finds that");
    }
  }
  EXPECT_EQ(AdviceFor({.status = 503, .body = ""}), "the identity server failed: its log says why");
  EXPECT_EQ(AdviceFor({.status = 400, .body = R"({"error":7})"}), "the identity server's log says why");
}

}  // namespace
}  // namespace assertion::cli
