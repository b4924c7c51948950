#include "assertion/spiffe_id.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion {
namespace {

TEST(SpiffeId, OfAWorkload) {
  for (const auto* good : {"spiffe://example.org/ns/pay/backend", "spiffe://example.org/a", "spiffe://a_b-c.1/A-z_0.9",
                           "spiffe://example.org/..a/b.."}) {
    EXPECT_TRUE(IsSpiffeId(good)) << good;
  }
}

TEST(SpiffeId, AnythingElseIsNone) {
  for (const auto* bad : {"",
                          "spiffe:",
                          "spiffe://",
                          "spiffe:///a",
                          "spiffe://example.org",
                          "spiffe://example.org/",
                          "SPIFFE://example.org/a",
                          "spiffe://Example.org/a",
                          "spiffe://example.org:1/a",
                          "spiffe://me@example.org/a",
                          "spiffe://example.org/a/",
                          "spiffe://example.org//a",
                          "spiffe://example.org/./a",
                          "spiffe://example.org/a/..",
                          "spiffe://example.org/../a",
                          "spiffe://example.org/a?b",
                          "spiffe://example.org/a#b",
                          "spiffe://example.org/a%2e",
                          "spiffe://example.org/a b",
                          "spiffe://example.org/*",
                          "https://example.org/a"}) {
    EXPECT_FALSE(IsSpiffeId(bad)) << bad;
  }
  EXPECT_FALSE(IsSpiffeId(std::string("spiffe://example.org/a\0b", 24)));
}

TEST(SpiffeId, HasAtMost2048OctetsAnd255OfItsDomain) {
  const std::string start = "spiffe://example.org/";
  EXPECT_TRUE(IsSpiffeId(start + std::string(2048 - start.size(), 'a')));
  EXPECT_FALSE(IsSpiffeId(start + std::string(2049 - start.size(), 'a')));
  EXPECT_TRUE(IsSpiffeId("spiffe://" + std::string(255, 'a') + "/b"));
  EXPECT_FALSE(IsSpiffeId("spiffe://" + std::string(256, 'a') + "/b"));
}

}  // namespace
}  // namespace assertion
