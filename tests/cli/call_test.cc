#include "cli/call.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

std::string Advice(Code code, std::string message) {
  return AdviceOn({.code = code, .message = std::move(message), .detail = {}});
}

TEST(AdviceOn, AServerThatRunsIsNotToBeStarted) {
  EXPECT_TRUE(Advice(Code::kAddressUnusable, "no server answers at unix:/a: there is no such file")
                  .starts_with("start it with assertiond --config FILE"));
  EXPECT_TRUE(Advice(Code::kAddressUnusable, "no server answers at unix:/a: you may not open it: it needs x")
                  .starts_with("run this as root or as a member of that group"));
  EXPECT_TRUE(Advice(Code::kAddressUnusable, "no server answers at unix:/a: it is a folder, not a socket")
                  .starts_with("name assertiond's socket with --server unix:/path"));
}

TEST(AdviceOn, AClosedFolderIsForItsGroupOrItsOwner) {
  const std::string closed = "no server answers at unix:/a/b: you may not search the folder /a, which leads to it: ";
  EXPECT_TRUE(Advice(Code::kAddressUnusable, closed + "it needs membership of the group x")
                  .starts_with("run this as root or as a member of that group"));
  EXPECT_TRUE(Advice(Code::kAddressUnusable, closed + "only its owner may, the user x")
                  .starts_with("run this as root or as that user"));
}

TEST(AdviceOn, ADelayOfTheServerIsTold) {
  const auto advice = [](Code code, std::chrono::milliseconds delay) {
    return AdviceOn({.code = code, .message = "no answer", .detail = {}, .retry_delay = delay});
  };
  EXPECT_EQ(advice(Code::kResourceExhausted, std::chrono::milliseconds(1)), "try again in 1 s");
  EXPECT_EQ(advice(Code::kResourceExhausted, std::chrono::milliseconds(0)), "ask less often, or later");
  EXPECT_TRUE(
      advice(Code::kUnavailable, std::chrono::milliseconds(2001)).starts_with("try again in 3 s; assertiond's log"));
  EXPECT_TRUE(advice(Code::kUnavailable, std::chrono::milliseconds(0)).starts_with("assertiond's log"));
}

TEST(AdviceOn, AnAnswerThatIsTooLargeIsNoMatterOfWaiting) {
  for (const auto* words :
       {"received initial metadata size exceeds limit", "received trailing metadata size exceeds hard limit",
        "CLIENT: Received message larger than max (5000000 vs. 4194304)"}) {
    const auto advice = Advice(Code::kResourceExhausted, words);
    EXPECT_TRUE(advice.starts_with("the server's answer is too large")) << advice;
  }
}

TEST(AdviceOn, AKeyLimitCanBeRaisedAndItsTimeIsToldOnce) {
  const auto advice = AdviceOn({.code = Code::kResourceExhausted,
                                .message = "4 keys of client 'orders' were made in the last hour, as many as "
                                           "key_limits.client_generations_per_hour allows: try again in 3597 s",
                                .detail = {},
                                .retry_delay = std::chrono::seconds(3597)});
  EXPECT_TRUE(advice.starts_with("wait, or raise that limit")) << advice;
  EXPECT_TRUE(advice.contains("reload")) << advice;
  EXPECT_FALSE(advice.contains("3597")) << advice;
}

TEST(AdviceOn, AnIdentityServerThatAnsweredIsNotAskedWhyItDidNot) {
  const auto advice = [](std::string message) {
    return AdviceOn({.code = Code::kUnavailable,
                     .message = std::move(message),
                     .detail = {},
                     .retry_delay = std::chrono::milliseconds(999)});
  };
  EXPECT_TRUE(advice(R"(the identity server refused the assertion: HTTP 401, "invalid_client"; check …)")
                  .starts_with("compare with what the identity server has"));
  EXPECT_EQ(advice("the identity server answered HTTP 503"),
            "try again in 1 s; the identity server failed: its log says why");
}

TEST(AdviceOn, AChangeThatDoesNotWaitIsLookedForAmongThoseThatDo) {
  EXPECT_TRUE(Advice(Code::kNotFound, "id: no such change waits").starts_with("assertionctl key pending "));
  EXPECT_TRUE(Advice(Code::kFailedPrecondition, "digest: is not that").starts_with("assertionctl key pending "));
  EXPECT_TRUE(Advice(Code::kNotFound, "kid: no such key").starts_with("assertionctl key list "));
}

TEST(AdviceOn, AFieldNamesTheSettingThatLimitsIt) {
  for (const auto& [field, setting] :
       {std::pair{"audience", "audiences"}, std::pair{"lifetime", "max_lifetime"}, std::pair{"subject", "subjects"},
        std::pair{"scope", "scopes"}, std::pair{"extra_claims_json", "extra_claims"}}) {
    EXPECT_EQ(Advice(Code::kInvalidArgument, std::string(field) + ": no"),
              std::string("clients[].") + setting + " in assertiond's configuration says what may be asked for");
  }
}

TEST(AdviceOn, BitsAreLeftOutWhereTheAlgorithmFixesThem) {
  EXPECT_EQ(Advice(Code::kInvalidArgument, "key_bits: must be left out, because …"), "leave out --bits");
  EXPECT_EQ(Advice(Code::kInvalidArgument, "key_bits: must be 2048, 3072 or 4096 of a key for RS256"),
            "name one of them with --bits, or leave it out");
}

TEST(AdviceOn, ADenialNamesItsCause) {
  const auto advice = [](std::string message) { return Advice(Code::kPermissionDenied, std::move(message)); };
  const auto of_purpose =
      advice(R"(client_id: client "orders" is not for DPoP proofs: its configured purposes do not include "dpop")");
  EXPECT_TRUE(of_purpose.contains("clients[].purposes")) << of_purpose;
  EXPECT_FALSE(of_purpose.contains("callers")) << of_purpose;
  const auto of_client = advice(
      R"(you are known here as "uid:7", who may not ask for DPoP proofs of this client; ask those who run assertiond to list you)");
  EXPECT_TRUE(of_client.starts_with("check --client-id; if it is right, clients[].callers")) << of_client;
  const auto of_role = advice(
      R"(you are known here as "uid:7", who may not change keys: the role operator is needed; ask those who run assertiond to list you)");
  EXPECT_TRUE(of_role.contains("operators")) << of_role;
  EXPECT_EQ(advice("who asked for this change may not change keys any more"),
            "withdraw the change, and have an operator ask again: assertionctl key withdraw ID");
  const auto of_scope = advice(R"(scope: the client's configuration names no scope "raed"; did you mean "read"?)");
  EXPECT_TRUE(of_scope.starts_with("clients[].tokens.scopes in assertiond's configuration")) << of_scope;
  const auto of_resource =
      advice(R"(resource: the client's configuration names no resources: ask without "https://a")");
  EXPECT_TRUE(of_resource.starts_with("clients[].tokens.resources in assertiond's configuration")) << of_resource;
}

}  // namespace
}  // namespace assertion::cli
