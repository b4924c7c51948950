#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace assertion {

// Claims that only the server sets: RFC 7519 section 4.1, cnf (RFC 7800 section 3.1), and client_id, which some
// identity servers read from an assertion.
inline constexpr std::array<std::string_view, 9> kReservedClaims = {"iss", "sub", "aud", "exp",      "nbf",
                                                                    "iat", "jti", "cnf", "client_id"};

// Ignores case, because some JSON libraries match member names that way. Go's encoding/json lets "Iss" set iss, and
// "i\u017Fs" too: it folds U+017F, the long s, to s.
constexpr bool IsReservedClaim(std::string_view name) {
  constexpr std::string_view kLongS = "\xC5\xBF";
  return std::ranges::any_of(kReservedClaims, [&](std::string_view reserved) {
    auto rest = name;
    for (const char letter : reserved) {
      const bool long_s = letter == 's' && rest.starts_with(kLongS);
      const char upper = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
      if (!long_s && (rest.empty() || (rest.front() != letter && rest.front() != upper))) {
        return false;
      }
      rest.remove_prefix(long_s ? kLongS.size() : 1);
    }
    return rest.empty();
  });
}

}  // namespace assertion
