#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace assertion {

// A claim that no caller may add, and why; the reason follows the claim's name.
struct ReservedClaim {
  std::string_view name;
  std::string_view why;
};

// RFC 7519 section 4.1, cnf (RFC 7800 section 3.1), and client_id, which some identity servers read from an assertion.
inline constexpr std::array<ReservedClaim, 9> kReservedClaims = {{
    {"iss", "is reserved: the client's profile decides it"},
    {"sub", "is reserved: the client's profile decides it"},
    {"aud", "is reserved: the client's profile decides it"},
    {"exp", "is reserved and set by the server"},
    {"nbf", "is reserved: it is in assertions if the field nbf is true"},
    {"iat", "is reserved and set by the server"},
    {"jti", "is reserved: the client's profile decides it"},
    {"cnf", "is reserved: it binds a token to a key, which no caller may choose"},
    {"client_id", "is reserved: some identity servers take it for the client, which iss and sub name"},
}};

// True if a reader may take `name` for the claim `claim`, which is lower case. Ignores case, because some JSON
// libraries match member names that way. Go's encoding/json lets "Iss" set iss, and "i\u017Fs" too: it folds U+017F,
// the long s, to s.
constexpr bool IsClaim(std::string_view name, std::string_view claim) {
  constexpr std::string_view kLongS = "\xC5\xBF";
  for (const char letter : claim) {
    const bool long_s = letter == 's' && name.starts_with(kLongS);
    const char upper = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    if (!long_s && (name.empty() || (name.front() != letter && name.front() != upper))) {
      return false;
    }
    name.remove_prefix(long_s ? kLongS.size() : 1);
  }
  return name.empty();
}

// Null: not reserved.
constexpr const ReservedClaim* FindReservedClaim(std::string_view name) {
  const auto* found =
      std::ranges::find_if(kReservedClaims, [&](const ReservedClaim& claim) { return IsClaim(name, claim.name); });
  return found == kReservedClaims.end() ? nullptr : found;
}

}  // namespace assertion
