#pragma once

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/reserved_claims.h"

namespace assertion {

// The parameters of an authorization request that callers may put into a request object by default.
inline constexpr std::array<std::string_view, 19> kRequestParameters = {
    "response_type",
    "response_mode",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",  // RFC 6749, RFC 7636
    "nonce",
    "prompt",
    "max_age",
    "display",
    "ui_locales",
    "login_hint",
    "id_token_hint",
    "acr_values",
    "claims",  // OpenID Connect Core section 3.1.2.1
    "resource",
    "authorization_details",
    "dpop_jkt"};  // RFC 8707, RFC 9396, RFC 9449

// Claims that no caller may put into a request object.
inline constexpr std::array<ReservedClaim, 11> kReservedParameters = {{
    {"iss", "is reserved and set by the server"},
    {"aud", "is reserved and set by the server"},
    {"exp", "is reserved and set by the server"},
    {"nbf", "is reserved and set by the server"},
    {"iat", "is reserved and set by the server"},
    {"jti", "is reserved and set by the server"},
    {"client_id", "is reserved and set by the server"},
    {"sub", "is refused: with it a request object could pass for a client assertion (RFC 9101 section 10.8)"},
    {"cnf", "is reserved: it binds a token to a key, which no caller may choose"},
    {"request", "is refused: a request object has no request object inside (RFC 9101 section 4)"},
    {"request_uri", "is refused: a request object has no request object inside (RFC 9101 section 4)"},
}};

// Null: not reserved.
constexpr const ReservedClaim* FindReservedParameter(std::string_view name) {
  const auto* found =
      std::ranges::find_if(kReservedParameters, [&](const ReservedClaim& claim) { return IsClaim(name, claim.name); });
  return found == kReservedParameters.end() ? nullptr : found;
}

// The parameters that callers may put into a client's request objects (RFC 9101).
struct RequestObjectRules {
  std::set<std::string, std::less<>> claims = {kRequestParameters.begin(), kRequestParameters.end()};  // names
  std::vector<std::string> redirect_uris = {};  // what redirect_uri may be; empty: anything

  friend bool operator==(const RequestObjectRules&, const RequestObjectRules&) = default;
};

}  // namespace assertion
