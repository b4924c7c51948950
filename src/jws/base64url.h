#pragma once

#include <string>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/error.h"

namespace assertion::jws {

// base64url without padding (RFC 7515 section 2).
std::string Base64UrlEncode(BytesView bytes);

// Strict: no padding, no white space, no other alphabet, and unused bits are zero (RFC 4648 section 3.5).
Result<Bytes> Base64UrlDecode(std::string_view text);

// Base64 with padding (RFC 4648 section 4), as x5c wants it (RFC 7517 section 4.7).
std::string Base64Encode(BytesView bytes);

}  // namespace assertion::jws
