#include "config/difference.h"

#include <gtest/gtest.h>

#include "assertion/token_source.h"

namespace assertion {
namespace {

Client Named(std::string client_id) {
  Client client;
  client.client_id = std::move(client_id);
  return client;
}

TEST(Difference, NothingOfWhatIsTheSame) {
  Config config;
  config.clients = Clients{Named("orders")};
  config.operators = {{.caller = "uid:1", .roles = {Role::kViewer}}};
  EXPECT_EQ(DifferenceOf(config, config), "");
}

TEST(Difference, WhoHoldsPowerComesFirst) {
  Config before;
  before.clients = Clients{Named("orders"), Named("billing")};
  before.operators = {{.caller = "uid:1", .roles = {Role::kViewer}}, {.caller = "uid:2", .roles = {Role::kApprover}}};
  before.two_person_rule.methods = {"RevokeKey"};
  auto after = before;
  after.two_person_rule = {.methods = {"DestroyKey", "RevokeKey"}, .window = std::chrono::seconds(60)};
  after.operators = {{.caller = "uid:1", .roles = {Role::kOperator, Role::kApprover}},
                     {.caller = "uid:3", .roles = {Role::kOperator}}};
  auto orders = Named("orders");
  orders.callers = {"uid:7"};
  orders.max_lifetime = std::chrono::seconds(60);
  after.clients = Clients{Named("new \"one\""), orders};
  EXPECT_EQ(DifferenceOf(before, after),
            "~two_person_rule DestroyKey RevokeKey within 60 s; ~operator \"uid:1\" operator approver; "
            "+operator \"uid:3\" operator; -operator \"uid:2\" approver; +client \"new \\x22one\\x22\"; "
            "~client \"orders\" callers max_lifetime; -client \"billing\"");
}

TEST(Difference, ARuleThatGoesIsNamedWithWhatItCovered) {
  Config before;
  before.two_person_rule.methods = {"RevokeKey"};
  before.caller_rate = Rate{.per_second = 1, .burst = 2};
  Config after;
  after.kubernetes = KubernetesConfig{};
  after.key_limits.per_client = 9;
  EXPECT_EQ(DifferenceOf(before, after),
            "-two_person_rule RevokeKey within 3600 s; +kubernetes_signer; -caller_rate; ~key_limits");
  EXPECT_EQ(DifferenceOf(Config(), before), "+two_person_rule RevokeKey within 3600 s; +caller_rate");
}

TEST(Difference, TokensAreComparedByWhatTheyAre) {
  const auto with = [](std::string endpoint) {
    auto client = Named("orders");
    TokenSource source;
    source.token_endpoint = std::move(endpoint);
    client.tokens = std::make_shared<const TokenSource>(source);
    Config config;
    config.clients = Clients{client};
    return config;
  };
  EXPECT_EQ(DifferenceOf(with("https://a.example/token"), with("https://a.example/token")), "");
  EXPECT_EQ(DifferenceOf(with("https://a.example/token"), with("https://b.example/token")),
            "~client \"orders\" tokens");
  Config none;
  none.clients = Clients{Named("orders")};
  EXPECT_EQ(DifferenceOf(none, with("https://a.example/token")), "~client \"orders\" tokens");
}

TEST(Difference, ALongListIsCutAndCounted) {
  std::vector<Client> clients;
  for (int i = 0; i < 10'000; ++i) {
    clients.push_back(Named("client-" + std::to_string(i)));
  }
  Config after;
  after.clients = Clients(std::move(clients));
  const auto text = DifferenceOf(Config(), after);
  EXPECT_LE(text.size(), 1000U);
  EXPECT_TRUE(text.starts_with("+client \"client-0\"; +client \"client-1\"; ")) << text;
  EXPECT_TRUE(text.ends_with(" more")) << text;
  const auto named = static_cast<int>(std::ranges::count(text, '+'));
  EXPECT_TRUE(text.ends_with("; and " + std::to_string(10'000 - named) + " more")) << text;
}

}  // namespace
}  // namespace assertion
