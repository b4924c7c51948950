#include "assertion/authority.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion {
namespace {

TEST(Authority, HostAndPortAreTakenApart) {
  const auto name = ParseAuthority("is.example");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->host, "is.example");
  EXPECT_FALSE(name->port);
  const auto with_port = ParseAuthority("is_1.example:65535");
  ASSERT_TRUE(with_port);
  EXPECT_EQ(with_port->host, "is_1.example");
  EXPECT_EQ(with_port->port, 65'535);
  const auto address = ParseAuthority("[2001:db8::a]:8443");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->host, "2001:db8::a");
  EXPECT_EQ(address->port, 8443);
  EXPECT_TRUE(address->is_ipv6);
}

TEST(Authority, WhatIsNoHostOrNoPortIsRefused) {
  for (const auto* text : {"",
                           ":80",
                           "is.example:",
                           "is.example:0",
                           "is.example:65536",
                           "is.example:000080",
                           "is.example:8x",
                           "is.example:-1",
                           "is.example:+1",
                           "is.example:80:80",
                           "user@is.example",
                           "is%2eexample",
                           "is example",
                           "[",
                           "[]",
                           "[::1",
                           "::1]",
                           "[::1]8443",
                           "[::1]x:80",
                           "[::1]]",
                           "[is.example]",
                           "[127.0.0.1]",
                           "[::1%25lo]",
                           "[1::2::3]",
                           "[1:2:3:4:5:6:7:8:9]",
                           "2001:db8::a"}) {
    EXPECT_FALSE(ParseAuthority(text)) << text;
  }
  EXPECT_FALSE(ParseAuthority(std::string_view("[::1\0]", 6)));
  EXPECT_TRUE(ParseAuthority(std::string(253, 'a')));
  EXPECT_FALSE(ParseAuthority(std::string(254, 'a')));
}

TEST(Authority, LoopbackHosts) {
  for (const auto* text : {"localhost", "localhost:80", "127.0.0.1", "127.1.2.3:8080", "[::1]", "[::1]:8080"}) {
    EXPECT_TRUE(ParseAuthority(text)->IsLoopback()) << text;
  }
  for (const auto* text :
       {"127.0.0.1.example", "127.example", "127.0.0.999", "127.1", "localhost.example", "10.0.0.1", "[::2]", "[::]"}) {
    EXPECT_FALSE(ParseAuthority(text)->IsLoopback()) << text;
  }
}

}  // namespace
}  // namespace assertion
