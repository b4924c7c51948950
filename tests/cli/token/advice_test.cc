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
  EXPECT_EQ(AdviceFor({.status = 404, .body = "not found"}), "check the path of the endpoint's URL");
  EXPECT_EQ(AdviceFor({.status = 503, .body = ""}), "the identity server failed: its log says why");
  EXPECT_EQ(AdviceFor({.status = 400, .body = R"({"error":7})"}), "the identity server's log says why");
}

}  // namespace
}  // namespace assertion::cli
