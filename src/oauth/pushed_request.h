#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "oauth/form.h"
#include "oauth/http.h"

// Pushed authorization requests (RFC 9126).
namespace assertion::oauth {

// True for what RFC 7636 section 4.1 allows: 43 to 128 characters of A-Z a-z 0-9 - . _ ~.
bool IsCodeVerifier(std::string_view text);

// The fields that only such a request has: response_type and, with a verifier, its S256 challenge (RFC 7636 section
// 4.2).
FormFields PushedFields(std::string_view code_verifier);

struct PushedAnswer {
  std::string request_uri;
  std::int64_t expires_in;  // seconds
};

// A successful response (RFC 9126 section 2.2); none if it is another.
std::optional<PushedAnswer> PushedAnswerOf(const HttpAnswer& answer);

// Where to send the browser (RFC 9126 section 4).
std::string AuthorizationUrl(const std::string& authorization_endpoint, const std::string& client_id,
                             const std::string& request_uri);

}  // namespace assertion::oauth
