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
                          .resource_parameter = {},
                          .dpop_client = {}};

TEST(TokenScope, AGrantedScopeOfOthersIsRefused) {
  const auto caller = Caller::Authenticated({"uid:1000"});
  for (const auto* granted :
       {"", "read", "read openid profile", "openid", "administrator", "read  openid", "read,openid"}) {
    EXPECT_TRUE(CheckGrantedScope(caller, kSource, granted)) << granted;
  }
  for (const auto* granted :
       {"admin", "read admin", "admin read", "read  admin", " admin ", "read,admin", "admin, openid"}) {
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

std::string RefusalOf(const Caller& caller, const TokenSource& source, std::string_view wanted) {
  const auto allowed = AllowedTokenScope(caller, source, wanted);
  EXPECT_FALSE(allowed) << wanted;
  EXPECT_EQ(allowed.error().code, Code::kPermissionDenied) << wanted;
  return allowed.error().message;
}

TEST(TokenScope, AMistypedScopeIsNotToldAsAMissingRight) {
  const auto caller = Caller::Authenticated({"uid:1000"});
  EXPECT_EQ(RefusalOf(caller, kSource, "raed"),
            R"(scope: the client's configuration names no scope "raed"; did you mean "read"?)");
  EXPECT_EQ(RefusalOf(caller, kSource, "read openid"), R"(scope: the client's configuration names no scope "openid")");
  EXPECT_EQ(RefusalOf(caller, kSource, "read  "), R"(scope: the client's configuration names no scope "")");
  EXPECT_TRUE(RefusalOf(caller, kSource, "admin").contains(R"(who may not ask for the scope "admin")"));
  TokenSource without = kSource;
  without.scopes.clear();
  EXPECT_EQ(RefusalOf(caller, without, "read"),
            R"(scope: the client's configuration names no scopes: ask without "read")");
}

TEST(TokenScope, ARefusalNamesNoScopeThatTheCallerMayNotHave) {
  EXPECT_EQ(RefusalOf(Caller::Authenticated({"uid:1000"}), kSource, "admim"),
            R"(scope: the client's configuration names no scope "admim")");
  EXPECT_TRUE(RefusalOf(Caller::Authenticated({"uid:2000"}), kSource, "admim").contains(R"(did you mean "admin"?)"));
  TokenSource of_others = kSource;
  of_others.scopes.front().callers = {"uid:2000"};
  for (const auto* scope : {"read", "raed", "admin", "nothing"}) {
    EXPECT_EQ(RefusalOf(Caller::Authenticated({"uid:1000"}), of_others, scope),
              std::string(R"(you are known here as "uid:1000", who may not ask for the scope ")") + scope +
                  R"("; ask those who run assertiond to list you)");
  }
}

}  // namespace
}  // namespace assertion
