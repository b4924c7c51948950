#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "assertion/error.h"

namespace assertion::oauth {

// A URL of an identity server, taken apart: https://…, or http:// to a loopback host.
struct Url {
  std::string origin;  // scheme://host[:port]
  std::string path;    // begins with '/'; with query
};

// `option` is the flag that gave the URL; messages name it. INVALID_ARGUMENT.
Result<Url> ParseUrl(const std::string& option, const std::string& url);

// A plain GET, unless its fields say more.
struct HttpRequest {
  std::string method = "GET";
  std::string path = "/";
  std::string content_type = {};
  std::string body = {};
  std::string bearer_token = {};                               // RFC 6750; empty: not sent
  std::string dpop_proof = {};                                 // RFC 9449 section 4.1; empty: not sent
  std::chrono::milliseconds limit = std::chrono::seconds(60);  // from the connection to the answer's last octet
  std::stop_token given_up = {};                               // ends it before that
  std::size_t most_octets = std::size_t{1} << 20U;             // of the answer's body
};

struct HttpAnswer {
  int status;
  std::string body;
  std::string retry_after = {};  // the header field of that name (RFC 9110 section 10.2.3); empty: none
  std::string dpop_nonce = {};   // the header field of that name (RFC 9449 section 8); empty: none
  std::string location = {};     // the header field of that name (RFC 9110 section 10.2.2); empty: none
};

// Sends one request to `origin`, whose certificate must chain to `ca_file` (PEM; empty: the system's authorities). Does
// not follow redirects, which would hand tokens and assertions to another server. UNAVAILABLE: no answer came in time,
// or one of more than `most_octets`, or an interim one such as 103 came first.
Result<HttpAnswer> Exchange(const std::string& origin, const std::string& ca_file, const HttpRequest& request);

}  // namespace assertion::oauth
