#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace assertion {

// Claims that only the server sets: RFC 7519 section 4.1, cnf (RFC 7800 section 3.1), and client_id, which some
// identity servers read from an assertion.
inline constexpr std::array<std::string_view, 9> kReservedClaims = {"iss", "sub", "aud", "exp",      "nbf",
                                                                    "iat", "jti", "cnf", "client_id"};

// In any case of ASCII letters, because some JSON libraries match a member's name so (Go's encoding/json: "Iss" sets
// iss).
constexpr bool IsReservedClaim(std::string_view name) {
  constexpr auto kLower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::any_of(kReservedClaims,
                             [&](std::string_view reserved) { return std::ranges::equal(name, reserved, {}, kLower); });
}

}  // namespace assertion
