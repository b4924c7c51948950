// Hosts and ports of URLs, compared with the C library's reading of IPv6 addresses.
#include "assertion/authority.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace assertion {
namespace {

bool IsAddressForLibc(int family, const std::string& text) {
  in6_addr octets{};  // has room for either family
  return inet_pton(family, text.c_str(), &octets) == 1;
}

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
                           "2001:db8::a"}) {
    EXPECT_FALSE(ParseAuthority(text)) << text;
  }
  EXPECT_TRUE(ParseAuthority(std::string(253, 'a')));
  EXPECT_FALSE(ParseAuthority(std::string(254, 'a')));
}

TEST(Authority, LoopbackHosts) {
  for (const auto* text : {"localhost", "localhost:80", "127.0.0.1", "127.1.2.3:8080", "[::1]", "[::1]:8080"}) {
    EXPECT_TRUE(ParseAuthority(text)->IsLoopback()) << text;
  }
  for (const auto* text : {"127.0.0.1.example", "127.example", "localhost.example", "10.0.0.1", "[::2]", "[::]"}) {
    EXPECT_FALSE(ParseAuthority(text)->IsLoopback()) << text;
  }
}

TEST(Authority, AddressesAreThoseOfTheCLibrary) {
  std::mt19937 random(1);
  const auto any = [&random](std::size_t below) { return random() % below; };
  int accepted = 0;
  for (int turn = 0; turn < 200'000; ++turn) {
    std::string text;
    for (std::size_t parts = any(10); parts > 0; --parts) {
      static constexpr std::array kParts = {
          ":", "::", "1:", "ff:", "0aB1:", "12345:", "g:", "1.2.3.4", "::1", "a", "255.0.0.256"};
      text += kParts.at(any(kParts.size()));
    }
    const bool expected = IsAddressForLibc(AF_INET6, text);
    ASSERT_EQ(IsIpv6Address(text), expected) << text;
    accepted += expected ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000) << "the texts are not all wrong";
  for (const auto* text : {"1.2.3.4", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4",
                           "1..2.3", "1.2.3.", ".1.2.3", "", "1.2.3.4x", "1.2.3.-4", "00.0.0.0"}) {
    EXPECT_EQ(IsIpv4Address(text), IsAddressForLibc(AF_INET, text)) << text;
  }
}

}  // namespace
}  // namespace assertion
