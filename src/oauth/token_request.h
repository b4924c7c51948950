#pragma once

#include <string>

#include "assertion/error.h"
#include "oauth/http.h"

namespace assertion::oauth {

// A request to an identity server's token endpoint (RFC 6749 sections 4.1.3 and 4.4.2), authenticated with a client
// assertion (RFC 7523 section 2.2).
struct TokenRequest {
  std::string token_endpoint;  // https://…; http:// to a loopback host only
  std::string ca_file;         // PEM bundle; empty: the system's
  std::string client_id;
  std::string client_assertion_type;
  std::string client_assertion;
  std::string grant_type;
  std::string scope;          // empty: not sent
  std::string code;           // authorization_code
  std::string redirect_uri;   // authorization_code
  std::string code_verifier;  // authorization_code, RFC 7636
};

// Checks the endpoint, before an assertion is created or sent. INVALID_ARGUMENT.
Status CheckTokenEndpoint(const std::string& url);

// Sends it. UNAVAILABLE when no answer came.
Result<HttpAnswer> Send(const TokenRequest& request);

// True for a successful response (RFC 6749 section 5.1): 200 and a JSON object with an access_token.
bool IsGranted(const HttpAnswer& answer);

// The error and error_description of a refusal (RFC 6749 section 5.2) in one line.
std::string ReasonOf(const HttpAnswer& answer);

}  // namespace assertion::oauth
