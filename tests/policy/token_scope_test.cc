#include "policy/token_scope.h"

#include <gtest/gtest.h>

namespace assertion {
namespace {

const TokenSource kSource{.token_endpoint = "https://is.example.com/token",
                          .issuer = {},
                          .ca_file = {},
                          .audience = {},
                          .scopes = {{.name = "read", .callers = {}}, {.name = "admin", .callers = {"uid:2000"}}},
                          .resources = {},
                          .dpop_client = {}};

TEST(TokenScope, AGrantedScopeOfOthersIsRefused) {
  const auto caller = Caller::Authenticated({"uid:1000"});
  for (const auto* granted : {"", "read", "read openid profile", "openid", "administrator", "read  openid"}) {
    EXPECT_TRUE(CheckGrantedScope(caller, kSource, granted)) << granted;
  }
  for (const auto* granted : {"admin", "read admin", "admin read", "read  admin", " admin "}) {
    const auto checked = CheckGrantedScope(caller, kSource, granted);
    ASSERT_FALSE(checked) << granted;
    EXPECT_EQ(checked.error().code, Code::kFailedPrecondition);
    EXPECT_FALSE(checked.error().message.contains("admin")) << checked.error().message;
  }
  EXPECT_TRUE(CheckGrantedScope(Caller::Authenticated({"uid:2000"}), kSource, "read admin"));
}

TEST(TokenScope, ACallerAsksForItsOwnAlone) {
  const auto caller = Caller::Authenticated({"uid:1000"});
  EXPECT_EQ(AllowedTokenScope(caller, kSource, "").value(), "read");
  EXPECT_FALSE(AllowedTokenScope(caller, kSource, "read admin"));
  EXPECT_EQ(AllowedTokenScope(Caller::Authenticated({"uid:2000"}), kSource, "").value(), "admin read");
}

}  // namespace
}  // namespace assertion
