#include "policy/policy.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kTokenEndpoint = "https://localhost:9443/oauth2/token";

// Every test starts from a request that is approved, and changes one thing.
class PolicyTest : public testing::Test {
 protected:
  static Client Orders() {
    Client client;
    client.client_id = "orders";
    client.audiences = {kTokenEndpoint, "https://localhost:9443/oauth2/par"};
    client.default_lifetime = seconds(120);
    client.max_lifetime = seconds(300);
    client.extra_claims = {"tenant"};
    client.callers = {"uid:1000"};
    return client;
  }

  Result<ApprovedClaims> Approve() { return Approve(Orders()); }

  Result<ApprovedClaims> Approve(const Client& client) {
    const Policy policy(
        {client}, {}, [] { return Time(seconds(1'700'000'000)); },
        [this](std::span<std::uint8_t> octets) {
          std::ranges::fill(octets, 0xFF);
          return random_works_;
        });
    request_.extra_claims = extra_.empty() ? nullptr : &extra_;
    return policy.Approve(Caller::Authenticated({"uid:1000"}), request_);
  }

  nlohmann::json Claims(const Client& client) { return nlohmann::json::parse(Approve(client).value().json()); }

  void ExpectRefused(Code code, const std::string& message) {
    const auto approved = Approve();
    ASSERT_FALSE(approved);
    EXPECT_EQ(approved.error().code, code);
    EXPECT_EQ(approved.error().message, message);
  }

  AssertionRequest request_{.client_id = "orders", .audience = {}, .lifetime = {}, .extra_claims = nullptr};
  nlohmann::json extra_ = nlohmann::json::object();
  bool random_works_ = true;
};

TEST_F(PolicyTest, DefaultsGiveExactlyTheMandatoryClaims) {
  auto approved = Approve();
  ASSERT_TRUE(approved) << approved.error().message;
  EXPECT_EQ(approved->jti(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  EXPECT_EQ(approved->expires_at() - approved->issued_at(), seconds(120));
  EXPECT_EQ(approved->json(),
            R"({"iss":"orders","sub":"orders","aud":"https://localhost:9443/oauth2/token","iat":1700000000,)"
            R"("exp":1700000120,"jti":"ffffffff-ffff-4fff-bfff-ffffffffffff"})");
}

TEST_F(PolicyTest, EachCallerIsHeldToTheRate) {
  auto client = Orders();
  client.callers = {"uid:1000", "uid:1001"};
  const Policy policy(
      {client}, {}, [] { return Time(seconds(1'700'000'000)); }, [](auto) { return true; }, {},
      Rate{.per_second = 1, .burst = 1});
  const auto approve = [&](const char* caller) { return policy.Approve(Caller::Authenticated({caller}), request_); };
  EXPECT_EQ(approve("uid:1002").error().code, Code::kPermissionDenied);
  EXPECT_TRUE(approve("uid:1000"));
  EXPECT_EQ(approve("uid:1000").error().code, Code::kResourceExhausted);
  EXPECT_TRUE(approve("uid:1001"));
}

TEST_F(PolicyTest, OneApprovalIsGoodForOneAssertion) {
  static_assert(!std::is_copy_constructible_v<ApprovedClaims> && !std::is_copy_assignable_v<ApprovedClaims>);
  auto approved = Approve();
  const auto moved = std::move(*approved);
  EXPECT_FALSE(moved.json().empty());
  EXPECT_TRUE(approved->json().empty());  // NOLINT(bugprone-use-after-move): that is the contract
}

TEST_F(PolicyTest, AudienceMayBeAnyOfTheConfiguredOnes) {
  request_.audience = "https://localhost:9443/oauth2/par";
  EXPECT_EQ(Claims(Orders())["aud"], "https://localhost:9443/oauth2/par");
}

TEST_F(PolicyTest, AudienceIsAListOfOneWhereConfigured) {
  auto client = Orders();
  client.audience_as_list = true;
  EXPECT_EQ(Claims(client)["aud"], nlohmann::json::array({kTokenEndpoint}));
}

TEST_F(PolicyTest, AudienceHasNoSlashTolerance) {
  request_.audience = "https://localhost:9443/oauth2/token/";
  ExpectRefused(Code::kInvalidArgument,
                "audience: \"https://localhost:9443/oauth2/token/\" is not configured for client \"orders\"; it must "
                "match octet for octet; did you mean \"https://localhost:9443/oauth2/token\"?");
}

TEST_F(PolicyTest, AMistypedAudienceIsToldTheOneThatIsMeant) {
  const auto says = [&](const char* audience) {
    request_.audience = audience;
    return Approve().error().message;
  };
  EXPECT_TRUE(
      says("https://localhost:9443/oauth2/tokne").ends_with("did you mean \"https://localhost:9443/oauth2/token\"?"));
  EXPECT_FALSE(says("https://localhost:9443/oauth2/authorise").contains("did you mean"));
}

TEST_F(PolicyTest, WhatIsShownBackIsCutAndEscaped) {
  const auto text = "\x1b[2J\n" + std::string(500, 'a');
  request_.audience = text;
  const auto message = Approve().error().message;
  EXPECT_LT(message.size(), 250U);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

TEST_F(PolicyTest, LifetimeUpToTheMaximum) {
  request_.lifetime = seconds(300);
  EXPECT_EQ(Claims(Orders())["exp"], 1'700'000'300);
  request_.lifetime = seconds(301);
  ExpectRefused(Code::kInvalidArgument, "lifetime: 301s is above this client's maximum of 300s");
}

TEST_F(PolicyTest, LifetimeZeroIsRefused) {
  request_.lifetime = seconds(0);
  ExpectRefused(Code::kInvalidArgument, "lifetime: must be at least 1s");
}

TEST_F(PolicyTest, LifetimeNegativeIsRefused) {
  request_.lifetime = seconds(-1);
  ExpectRefused(Code::kInvalidArgument, "lifetime: must be at least 1s");
}

TEST_F(PolicyTest, EmptyClientIsRefused) {
  request_.client_id = "";
  ExpectRefused(Code::kInvalidArgument, "client_id: must not be empty");
}

TEST_F(PolicyTest, AllowedClaimIsAdded) {
  extra_["tenant"] = {{"id", 7}};
  EXPECT_EQ(Claims(Orders())["tenant"], nlohmann::json({{"id", 7}}));
}

TEST_F(PolicyTest, ClaimThatIsNotAllowedIsRefused) {
  extra_["role"] = "admin";
  ExpectRefused(Code::kInvalidArgument, "extra_claims: \"role\" is not among the claims allowed for this client");
}

TEST_F(PolicyTest, NoReservedClaimCanBeSet) {
  for (const auto* name :
       {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "client_id", "Iss", "SUB", "eXp", "Client_ID"}) {
    extra_ = {{name, "x"}};
    const auto approved = Approve();
    ASSERT_FALSE(approved) << name;
    EXPECT_EQ(approved.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(approved.error().message.starts_with(std::string("extra_claims: \"") + name + "\" is reserved"))
        << approved.error().message;
  }
}

TEST_F(PolicyTest, ClaimsOfMoreThan8KiBAreRefused) {
  extra_["tenant"] = std::string(8192 - 13, 'a');  // {"tenant":"…"} adds 13
  EXPECT_TRUE(Approve());
  extra_["tenant"] = std::string(8192 - 12, 'a');
  ExpectRefused(Code::kInvalidArgument, "extra_claims: more than 8192 octets as JSON");
}

TEST_F(PolicyTest, ClaimsAsTextAreSignedToTheOctet) {
  auto client = Orders();
  client.extra_claims = {"account", "b", "a", "c"};
  const std::string members =
      R"("b":1.0, "account" : 9007199254740993,"a":[-0,1e400,0.10,1E+2,123456789012345678901234567890],)"
      R"("c":{"z":"\u00e9\/","iss":null})";
  request_.extra_claims_json = "";
  const auto without = Approve(client).value().json();
  for (const auto& text : {"{" + members + "}", "\n {\t" + members + "\r\n } "}) {
    request_.extra_claims_json = text;
    EXPECT_EQ(Approve(client).value().json(), without.substr(0, without.size() - 1) + "," + members + "}");
  }
  for (const auto* none : {"{}", " { } "}) {
    request_.extra_claims_json = none;
    EXPECT_EQ(Approve(client).value().json(), without);
  }
}

TEST_F(PolicyTest, ClaimsAsTextMustBeAnObjectOfJson) {
  for (const auto* text : {" ", "[]", "null", R"({"tenant":1)", R"({"tenant":1},"iss":"x")", R"({"tenant":1}{})",
                           R"({"tenant":1,"tenant":2})", R"({"tenant":{"a":1,"a":2}})", R"({"tenant":01})",
                           R"({"tenant":"\ud800"})", "{\"tenant\":\"\xff\"}", "\xef\xbb\xbf{}"}) {
    request_.extra_claims_json = text;
    const auto approved = Approve();
    ASSERT_FALSE(approved) << text;
    EXPECT_EQ(approved.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(approved.error().message.starts_with("extra_claims_json: octet ")) << approved.error().message;
  }
}

TEST_F(PolicyTest, ClaimsAsTextHaveTheSameNamesAndLimits) {
  request_.extra_claims_json = R"({"role":"admin"})";
  ExpectRefused(Code::kInvalidArgument, "extra_claims_json: \"role\" is not among the claims allowed for this client");
  for (const auto* name : {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "client_id", "Iss", "SUB", "eXp",
                           "Client_ID", R"(\u0069ss)", R"(i\u0053s)"}) {
    const auto text = R"({"tenant":1,")" + std::string(name) + R"(":"x"})";
    request_.extra_claims_json = text;
    const auto approved = Approve();
    ASSERT_FALSE(approved) << text;
    EXPECT_TRUE(approved.error().message.contains(" is reserved")) << approved.error().message;
  }
  const auto full = R"({"tenant":")" + std::string(8192 - 13, 'a') + R"("})";
  request_.extra_claims_json = full;
  EXPECT_TRUE(Approve());
  const auto more = full + " ";
  request_.extra_claims_json = more;
  ExpectRefused(Code::kInvalidArgument, "extra_claims_json: more than 8192 octets as JSON");
}

TEST_F(PolicyTest, ClaimsComeInOneFieldOnly) {
  extra_["tenant"] = 1;
  request_.extra_claims_json = "{}";
  ExpectRefused(Code::kInvalidArgument, "extra_claims_json: must not be set beside extra_claims");
}

TEST_F(PolicyTest, NoRandomnessNoAssertion) {
  random_works_ = false;
  ExpectRefused(Code::kInternal, "the random number generator failed");
}

// Who may do what.
class AuthorizationTest : public testing::Test {
 protected:
  static Caller Known(std::vector<std::string> identities) { return Caller::Authenticated(std::move(identities)); }

  static std::vector<Client> Clients() {
    Client orders;
    orders.client_id = "orders";
    orders.audiences = {kTokenEndpoint};
    orders.callers = {"uid:1000", "spiffe://example.org/ns/pay/*", "dns:orders.example.org"};
    Client closed = orders;
    closed.client_id = "closed";
    closed.callers.clear();
    return {orders, closed};
  }

  const Policy policy_{Clients(),
                       {{.caller = "uid:1", .roles = {Role::kViewer}},
                        {.caller = "uid:2", .roles = {Role::kOperator}},
                        {.caller = "spiffe://example.org/ops/*", .roles = {Role::kApprover}},
                        {.caller = "uid:3", .roles = {}}},
                       [] { return Time(seconds(1'700'000'000)); },
                       [](std::span<std::uint8_t>) { return true; }};

  bool MayAsk(std::vector<std::string> identities, std::string_view client_id = "orders") const {
    const auto approved =
        policy_.Approve(Known(std::move(identities)),
                        {.client_id = client_id, .audience = {}, .lifetime = {}, .extra_claims = nullptr});
    EXPECT_TRUE(approved || approved.error().code == Code::kPermissionDenied);
    return approved.has_value();
  }
};

TEST_F(AuthorizationTest, OnlyAClientsCallersMayAskForItsAssertions) {
  EXPECT_TRUE(MayAsk({"uid:1000"}));
  EXPECT_TRUE(MayAsk({"spiffe://example.org/ns/pay/sa/orders"}));
  EXPECT_TRUE(MayAsk({"dns:other.example.org", "dns:orders.example.org"}));
  for (const char* other :
       {"uid:100", "uid:10000", "uid:0", "spiffe://example.org/ns/pay", "spiffe://example.org/ns/pay/",
        "spiffe://example.org/ns/payments/x", "spiffe://example.com/ns/pay/x", "spiffe://example.org/ns/pay/../admin",
        "spiffe://example.org/ns/pay/./x", "spiffe://example.org/ns/pay//x", "spiffe://example.org/ns/pay/..",
        "spiffe://example.org/ns/pay/%2e%2e/admin", "spiffe://example.org/ns/pay/x?y", "spiffe://example.org/ns/pay/*",
        "dns:example.org", "uid:2"}) {
    EXPECT_FALSE(MayAsk({other})) << other;
  }
  EXPECT_FALSE(MayAsk({"uid:1000"}, "closed"));
}

TEST_F(AuthorizationTest, ADenialTellsTheCallerWhoItIsAndNothingOfOthers) {
  const auto denied = [&](std::string_view client_id) {
    return policy_
        .Approve(Known({"uid:7", "dns:x"}),
                 {.client_id = client_id, .audience = {}, .lifetime = {}, .extra_claims = nullptr})
        .error()
        .message;
  };
  EXPECT_EQ(denied("orders"),
            "you are known here as \"uid:7\", who may not ask for assertions of this client; ask those who run "
            "assertiond to list you");
  EXPECT_EQ(denied("orders"), denied("nobody"));
  const auto reading = policy_.FindForReading(Known({"uid:7"}), "nobody");
  EXPECT_EQ(reading.error().code, Code::kPermissionDenied);
  EXPECT_EQ(policy_.FindForReading(Known({"uid:7"}), "orders").error().message, reading.error().message);
}

TEST_F(AuthorizationTest, WhoMayLookAtKeysIsToldThatAClientIsUnknown) {
  const auto unknown = policy_.Approve(
      Known({"uid:1"}), {.client_id = "nobody", .audience = {}, .lifetime = {}, .extra_claims = nullptr});
  EXPECT_EQ(unknown.error().code, Code::kNotFound);
  EXPECT_EQ(unknown.error().message, "client_id: no client \"nobody\" is configured");
}

TEST_F(AuthorizationTest, RolesGiveWhatTheySay) {
  struct Row {
    const char* caller;
    bool views, operates, approves;
  };
  for (const auto& row : {Row{"uid:1", true, false, false}, Row{"uid:2", true, true, false},
                          Row{"spiffe://example.org/ops/ann", true, false, true}, Row{"uid:3", false, false, false},
                          Row{"uid:1000", false, false, false}}) {
    const auto caller = Known({row.caller});
    EXPECT_EQ(policy_.Allow(caller, Role::kViewer).has_value(), row.views) << row.caller;
    EXPECT_EQ(policy_.Allow(caller, Role::kOperator).has_value(), row.operates) << row.caller;
    EXPECT_EQ(policy_.Allow(caller, Role::kApprover).has_value(), row.approves) << row.caller;
    EXPECT_EQ(policy_.FindForReading(caller, "closed").has_value(), row.views) << row.caller;
  }
  EXPECT_TRUE(policy_.FindForReading(Known({"uid:1000"}), "orders"));
  EXPECT_EQ(policy_.FindForReading(Known({"uid:1"}), "nobody").error().code, Code::kNotFound);
}

TEST(PolicyLists, WhoIsNamedByAnyList) {
  Client client;
  client.client_id = "orders";
  client.audiences = {"https://example.org"};
  client.callers = {"uid:1000", "spiffe://example.org/ns/*"};
  const Policy policy({client}, {{.caller = "dns:ops.example.org", .roles = {}}}, SystemTime, {});
  for (const auto* listed : {"uid:1000", "spiffe://example.org/ns/a", "dns:ops.example.org"}) {
    EXPECT_TRUE(policy.Admit(Caller::Authenticated({listed}))) << listed;
  }
  for (const auto* stranger : {"uid:1001", "spiffe://example.org/a", "dns:example.org"}) {
    EXPECT_FALSE(policy.Admit(Caller::Authenticated({stranger}))) << stranger;
  }
  EXPECT_EQ(policy.callers(), (std::set<std::string>{"dns:ops.example.org", "spiffe://example.org/ns/*", "uid:1000"}));
}

}  // namespace
}  // namespace assertion
