#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

namespace assertion {

// host[:port] of a URL (RFC 3986 section 3.2), without user information.
struct Authority {
  std::string_view host;  // a name, an IPv4 address, or an IPv6 address without its brackets
  bool is_ipv6 = false;
  std::optional<int> port = {};  // 1 to 65535

  // 127.0.0.0/8 in digits only: the name of another host may begin with 127, too.
  constexpr bool IsLoopback() const {
    return host == "localhost" || (is_ipv6 && host == "::1") ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
  }
};

// A decimal number without sign, 0 to `most`.
constexpr std::optional<int> SmallNumber(std::string_view text, int most) {
  constexpr int kTen = 10;
  int number = 0;
  for (const char c : text) {
    number = c >= '0' && c <= '9' ? number * kTen + (c - '0') : most + 1;
    if (number > most) {
      return std::nullopt;
    }
  }
  return text.empty() ? std::nullopt : std::optional(number);
}

// Four numbers without leading zeros, which some programs read as octal.
constexpr bool IsIpv4Address(std::string_view text) {
  constexpr int kMost = 255;
  for (int numbers = 1;; ++numbers) {
    const auto dot = text.find('.');
    const auto part = text.substr(0, dot);
    if (!SmallNumber(part, kMost) || (part.size() > 1 && part.front() == '0')) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return numbers == 4;
    }
    text.remove_prefix(dot + 1);
  }
}

// RFC 4291 section 2.2, without a zone.
constexpr bool IsIpv6Address(std::string_view text) {
  constexpr int kGroups = 8;
  constexpr std::size_t kMostDigits = 4;
  bool gap = text.starts_with("::");
  text.remove_prefix(gap ? 2 : 0);
  int groups = 0;
  while (!text.empty()) {
    const auto colon = text.find(':');
    const auto group = text.substr(0, colon);
    if (colon == std::string_view::npos && group.contains('.')) {
      groups += 2;
      return IsIpv4Address(group) && (gap ? groups < kGroups : groups == kGroups);
    }
    if (group.empty() || group.size() > kMostDigits ||
        group.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return false;
    }
    ++groups;
    if (colon == std::string_view::npos) {
      break;
    }
    text.remove_prefix(colon + 1);
    const bool another = text.starts_with(':');
    if (another ? gap : text.empty()) {
      return false;
    }
    text.remove_prefix(another ? 1 : 0);
    gap = gap || another;
  }
  return gap ? groups < kGroups : groups == kGroups;
}

// Nothing: the text is not host[:port]. An empty port is none.
constexpr std::optional<Authority> ParseAuthority(std::string_view text) {
  constexpr std::size_t kMostOfHost = 253;  // octets, RFC 1035 section 2.3.4
  constexpr std::size_t kMostDigits = 5;
  constexpr int kLastPort = 65'535;
  Authority authority{.host = text, .is_ipv6 = text.starts_with('[')};
  if (const auto colon = text.find(':', authority.is_ipv6 ? text.find(']') : 0); colon != std::string_view::npos) {
    const auto digits = text.substr(colon + 1);
    authority.host = text.substr(0, colon);
    authority.port = digits.size() <= kMostDigits ? SmallNumber(digits, kLastPort) : std::nullopt;
    if (authority.port.value_or(0) == 0) {
      return std::nullopt;
    }
  }
  auto& host = authority.host;
  if (authority.is_ipv6) {
    if (!host.ends_with(']')) {
      return std::nullopt;
    }
    host = host.substr(1, host.size() - 2);
    return IsIpv6Address(host) ? std::optional(authority) : std::nullopt;
  }
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  return !host.empty() && host.size() <= kMostOfHost && std::ranges::all_of(host, fits) ? std::optional(authority)
                                                                                        : std::nullopt;
}

}  // namespace assertion
