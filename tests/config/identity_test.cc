#include "config/identity.h"

#include <gtest/gtest.h>

#include <utility>

namespace assertion {
namespace {

using namespace std::string_view_literals;

Result<std::string> Parse(std::string_view text) { return Identities().Parse(text); }

TEST(Identity, IsTakenAsItStands) {
  for (const char* text :
       {"uid:0", "uid:4294967294", "dns:orders.example.com", "dns:a", "dns:9a-b.x1",
        "spiffe://example.org/ns/pay/sa/orders", "spiffe://example.org/ns/*", "spiffe://example.org/*"}) {
    const auto identity = Parse(text);
    ASSERT_TRUE(identity) << text << ": " << identity.error().message;
    EXPECT_EQ(*identity, text);
  }
}

TEST(Identity, AUserBecomesANumber) {
  Identities identities;
  EXPECT_EQ(identities.Parse("user:root"), "uid:0");
  EXPECT_EQ(identities.Parse("user:root"), "uid:0");
  EXPECT_FALSE(identities.Parse("user:nobody-has-this"));
  EXPECT_FALSE(identities.Parse("user:nobody-has-this"));
}

TEST(Identity, AnythingElseIsRefused) {
  for (const auto text : {""sv,
                          "root"sv,
                          "uid:"sv,
                          "uid:-1"sv,
                          "uid:+1"sv,
                          "uid:01"sv,
                          "uid:0x1"sv,
                          "uid:1 "sv,
                          "uid: 1"sv,
                          "uid:4294967295"sv,
                          "uid:4294967296"sv,
                          "uid:99999999999"sv,
                          "uid:*"sv,
                          "user:"sv,
                          "user:nobody-has-this"sv,
                          "user:root\0"sv,
                          "user:root\n"sv,
                          "user:0"sv,
                          "dns:"sv,
                          "dns:Orders.example"sv,
                          "dns:*.example"sv,
                          "dns:a..b"sv,
                          "dns:.a"sv,
                          "dns:a."sv,
                          "dns:-a.b"sv,
                          "dns:a-.b"sv,
                          "dns:a_b"sv,
                          "dns:10.0.0.1"sv,
                          "*"sv,
                          "/*"sv,
                          "spiffe://*"sv,
                          "spiffe:///*"sv,
                          "spiffe://example.org*"sv,
                          "spiffe://example.org/"sv,
                          "spiffe://example.org"sv,
                          "spiffe://example.org/*/x"sv,
                          "spiffe://example.org/*/*"sv,
                          "spiffe://example.org/ns/**"sv,
                          "spiffe://example.org/ns/x*"sv,
                          "spiffe://example.org/ns/../*"sv,
                          "spiffe://example.org/ns/./x"sv,
                          "spiffe://example.org/ns//*"sv,
                          "spiffe://Example.org/ns/*"sv,
                          "spiffe://example.org:443/ns/*"sv,
                          "https://example.org/*"sv,
                          "https://example.org/x"sv,
                          "urn:x:y"sv,
                          "spiffe://example.org/a b"sv,
                          "spiffe:"sv,
                          "usr:app"sv,
                          "gid:0"sv,
                          "group:root"sv,
                          "cn:x"sv,
                          "\xef\xbb\xbfuid:1"sv,
                          "uid:1\xe2\x80\x8b"sv}) {
    EXPECT_FALSE(Parse(text)) << text;
  }
  EXPECT_FALSE(Parse("dns:" + std::string(64, 'a')));
  EXPECT_TRUE(Parse("dns:" + std::string(63, 'a')));
  std::string longest = "dns:a";
  while (longest.size() < 4 + 253) {
    longest += ".a";
  }
  EXPECT_TRUE(Parse(longest));
  EXPECT_FALSE(Parse(longest + ".a"));
}

TEST(Identity, ATypingErrorIsToldWhatWasMeant) {
  for (const auto& [text, meant] :
       {std::pair{"usr:app", "user:app"}, std::pair{"User:app", "user:app"}, std::pair{"UID:7", "uid:7"},
        std::pair{"gid:0", "uid:0"}, std::pair{"group:root", "user:root"}, std::pair{"cn:x", "dns:x"},
        std::pair{"dsn:x", "dns:x"}, std::pair{"spife://a/b", "spiffe://a/b"}, std::pair{"spiffe:a/b", "spiffe://a/b"},
        std::pair{"SPIFFE:/a/b", "spiffe://a/b"}, std::pair{"root", "user:root"}, std::pair{"1000", "uid:1000"},
        std::pair{"user:1000", "uid:1000"}, std::pair{"dns:Orders.example", "dns:orders.example"},
        std::pair{"cn:Orders", "dns:orders"}}) {
    const auto identity = Parse(text);
    ASSERT_FALSE(identity) << text;
    EXPECT_TRUE(identity.error().message.ends_with("; did you mean \"" + std::string(meant) + "\"?"))
        << identity.error().message;
  }
  // No suggestion that would be refused as well.
  for (const auto* text :
       {"https://example.org/x", "ip:10.0.0.1", "gid:wheel", "cn:*.example", "group:", "*", "spiffe:x", "spiffe:"}) {
    EXPECT_EQ(Parse(text).error().message.find("did you mean"), std::string::npos) << text;
  }
}

// Under a user namespace's overflow uid come all whom it does not map.
TEST(Identity, TheOverflowUidIsNobody) {
  for (const char* text : {"uid:65534", "user:nobody"}) {
    const auto identity = Parse(text);
    ASSERT_FALSE(identity) << text;
    EXPECT_NE(identity.error().message.find("uid 65534 is the overflow uid"), std::string::npos)
        << identity.error().message;
  }
  EXPECT_TRUE(Parse("uid:65533"));
  EXPECT_TRUE(Parse("uid:65535"));
}

}  // namespace
}  // namespace assertion
