#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"

// ID tokens of the authorization code flow (OpenID Connect Core 1.0 sections 2, 3.1.3.6 and 3.1.3.7).
namespace assertion::oauth {

struct ExpectedIdToken {
  std::string issuer;
  std::string client_id;
  std::string nonce;
  std::string access_token;
  std::string code;
  Time now;
};

// What a wrong check shows beyond its text.
enum class Mistake : std::uint8_t {
  kOther,
  kOtherKey,  // by no key of the provider
  kClock,     // a time that would be right by another clock
};

// A check of the token, and what is wrong; empty: nothing.
struct Check {
  std::string name;
  std::string wrong;
  Mistake mistake = Mistake::kOther;
};

struct CheckedIdToken {
  std::vector<Check> checks;
  nlohmann::ordered_json header;  // unverified unless all checks are good
  nlohmann::ordered_json claims;

  bool good() const;
};

// Checks the token, which was issued just now, with the provider's JWK Set. Goes on after a failed check, so that all
// that is wrong is told at once. alg must be asymmetric and one that assertiond knows: "none" and HS256 are refused.
CheckedIdToken CheckIdToken(std::string_view text, const nlohmann::json& jwks, const ExpectedIdToken& expected);

}  // namespace assertion::oauth
