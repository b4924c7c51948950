#include "assertion/spiffe_id.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion {
namespace {

static_assert(IsSpiffeId("spiffe://example.org/ns/pay/sa/orders"));

TEST(SpiffeId, IsATrustDomainAndSegments) {
  for (const char* text : {"spiffe://example.org", "spiffe://a", "spiffe://1.2.3.4/x", "spiffe://my_td-1/A.b_c-9",
                           "spiffe://example.org/...", "spiffe://example.org/a/.b/c..", "spiffe://example.org/9"}) {
    EXPECT_TRUE(IsSpiffeId(text)) << text;
  }
}

TEST(SpiffeId, NothingElseIsOne) {
  using namespace std::string_view_literals;
  for (const auto text : {""sv,
                          "spiffe:"sv,
                          "spiffe:/"sv,
                          "spiffe://"sv,
                          "spiffe:///"sv,
                          "spiffe:///a"sv,
                          "SPIFFE://example.org/a"sv,
                          "https://example.org/a"sv,
                          " spiffe://example.org/a"sv,
                          "spiffe://Example.org/a"sv,
                          "spiffe://example.org/"sv,
                          "spiffe://example.org/a/"sv,
                          "spiffe://example.org//a"sv,
                          "spiffe://example.org/a//b"sv,
                          "spiffe://example.org/."sv,
                          "spiffe://example.org/.."sv,
                          "spiffe://example.org/a/../b"sv,
                          "spiffe://example.org/a/./b"sv,
                          "spiffe://example.org/a/.."sv,
                          "spiffe://example.org/%2e%2e/b"sv,
                          "spiffe://example.org/a%2fb"sv,
                          "spiffe://example.org/a b"sv,
                          "spiffe://example.org/a\n"sv,
                          "spiffe://example.org/a\0"sv,
                          "spiffe://example.org/a\xc3\xa9"sv,
                          "spiffe://example.org/*"sv,
                          "spiffe://example.org/a?x"sv,
                          "spiffe://example.org/a#x"sv,
                          "spiffe://example.org?x"sv,
                          "spiffe://example.org:443/a"sv,
                          "spiffe://user@example.org/a"sv,
                          "spiffe://[::1]/a"sv}) {
    EXPECT_FALSE(IsSpiffeId(text)) << text;
  }
}

TEST(SpiffeId, OfAWorkloadHasAPath) {
  EXPECT_TRUE(IsWorkloadSpiffeId("spiffe://example.org/a"));
  EXPECT_FALSE(IsWorkloadSpiffeId("spiffe://example.org"));
  EXPECT_FALSE(IsWorkloadSpiffeId("spiffe://example.org/"));
}

TEST(SpiffeId, HasAtMost2048OctetsAndATrustDomainOf255) {
  const std::string longest = "spiffe://a/" + std::string(2048 - 11, 'x');
  EXPECT_TRUE(IsSpiffeId(longest));
  EXPECT_FALSE(IsSpiffeId(longest + "x"));
  EXPECT_TRUE(IsSpiffeId("spiffe://" + std::string(255, 'a') + "/x"));
  EXPECT_FALSE(IsSpiffeId("spiffe://" + std::string(256, 'a') + "/x"));
}

}  // namespace
}  // namespace assertion
