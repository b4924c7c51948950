#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace assertion {

// `family` is AF_INET or AF_INET6; without brackets and zone.
inline bool IsAddress(int family, std::string_view text) {
  in6_addr octets{};  // has room for either family
  return !text.contains('\0') && inet_pton(family, std::string(text).c_str(), &octets) == 1;
}

// host[:port] of a URL (RFC 3986 section 3.2), without user information.
struct Authority {
  std::string_view host;  // a name, an IPv4 address, or an IPv6 address without its brackets
  bool is_ipv6 = false;
  std::optional<int> port = {};  // 1 to 65535

  // 127.0.0.0/8 as an address: 127.0.0.999 is a name, which a name service may send anywhere.
  bool IsLoopback() const {
    return host == "localhost" || (is_ipv6 && host == "::1") || (host.starts_with("127.") && IsAddress(AF_INET, host));
  }
};

// 1 to 65535 in at most five digits.
inline std::optional<int> ParsePort(std::string_view text) {
  constexpr std::size_t kMostDigits = 5;
  constexpr int kLast = 65'535;
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_port = text.size() <= kMostDigits && error == std::errc() && end == text.data() + text.size() &&
                       port >= 1 && port <= kLast;
  return is_port ? std::optional(port) : std::nullopt;
}

// Nothing: the text is not host[:port].
inline std::optional<Authority> ParseAuthority(std::string_view text) {
  constexpr std::size_t kMostOfHost = 253;  // octets, RFC 1035 section 2.3.4
  Authority authority{.host = text, .is_ipv6 = text.starts_with('[')};
  if (const auto colon = text.find(':', authority.is_ipv6 ? text.find(']') : 0); colon != std::string_view::npos) {
    authority.host = text.substr(0, colon);
    authority.port = ParsePort(text.substr(colon + 1));
    if (!authority.port) {
      return std::nullopt;
    }
  }
  auto& host = authority.host;
  if (authority.is_ipv6) {
    if (!host.ends_with(']')) {
      return std::nullopt;
    }
    host = host.substr(1, host.size() - 2);
    return IsAddress(AF_INET6, host) ? std::optional(authority) : std::nullopt;
  }
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  return !host.empty() && host.size() <= kMostOfHost && std::ranges::all_of(host, fits) ? std::optional(authority)
                                                                                        : std::nullopt;
}

}  // namespace assertion
