#include "config/identity.h"

#include <gtest/gtest.h>

namespace assertion {
namespace {

TEST(Identity, IsTakenAsItStands) {
  for (const char* text : {"uid:0", "uid:4294967295", "dns:orders.example.com", "spiffe://example.org/ns/pay/sa/orders",
                           "spiffe://example.org/ns/*", "spiffe://example.org/*", "https://example.org/x", "urn:x:y"}) {
    const auto identity = ParseIdentity(text);
    ASSERT_TRUE(identity) << text;
    EXPECT_EQ(*identity, text);
  }
}

TEST(Identity, AUserBecomesANumber) { EXPECT_EQ(ParseIdentity("user:root"), "uid:0"); }

TEST(Identity, AnythingElseIsRefused) {
  using namespace std::string_view_literals;
  for (const auto text : {""sv,
                          "root"sv,
                          "uid:"sv,
                          "uid:-1"sv,
                          "uid:01"sv,
                          "uid:1 "sv,
                          "uid:99999999999"sv,
                          "uid:*"sv,
                          "user:"sv,
                          "user:nobody-has-this"sv,
                          "user:root\0"sv,
                          "dns:"sv,
                          "dns:Orders.example"sv,
                          "dns:*.example"sv,
                          "*"sv,
                          "/*"sv,
                          "spiffe://*"sv,
                          "spiffe:///*"sv,
                          "spiffe://example.org*"sv,
                          "spiffe://example.org/*/x"sv,
                          "spiffe://example.org/ns/**"sv,
                          "https://example.org/*"sv,
                          "spiffe://example.org/a b"sv,
                          "spiffe:"sv}) {
    EXPECT_FALSE(ParseIdentity(text)) << text;
  }
}

}  // namespace
}  // namespace assertion
