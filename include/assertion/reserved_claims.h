#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace assertion {

// Claims that only the server sets: RFC 7519 section 4.1, cnf (RFC 7800 section 3.1), and client_id, which some
// identity servers read from an assertion.
inline constexpr std::array<std::string_view, 9> kReservedClaims = {"iss", "sub", "aud", "exp",      "nbf",
                                                                    "iat", "jti", "cnf", "client_id"};

constexpr bool IsReservedClaim(std::string_view name) {
  return std::ranges::find(kReservedClaims, name) != kReservedClaims.end();
}

}  // namespace assertion
