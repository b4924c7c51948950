#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/secret.h"
#include "oauth/http.h"

namespace assertion::oauth {

// A token endpoint's grant (RFC 6749 section 5.1).
struct TokenAnswer {
  Secret access_token;
  std::string token_type;
  std::string scope;  // empty: as asked
  std::chrono::seconds expires_in{};
};

// Takes the grant out of the answer and wipes the rest of it, with refresh and ID tokens. UNAVAILABLE: it holds no
// access token that is valid for at least a second. A missing expires_in counts as a minute, one of more than a day as
// a day.
Result<TokenAnswer> TakeToken(HttpAnswer& answer);

// `error` of a refusal (RFC 6749 section 5.2), at most 64 octets; empty: none, or one with an octet that the RFC
// forbids.
std::string ErrorOf(const HttpAnswer& answer);

// Retry-After (RFC 9110 section 10.2.3) in seconds or as a date; nothing if it is neither. From 0 to a day.
std::optional<std::chrono::seconds> RetryAfterOf(std::string_view text, std::chrono::system_clock::time_point now);

}  // namespace assertion::oauth
