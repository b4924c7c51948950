#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "oauth/http.h"

namespace assertion::oauth {

// The metadata of an authorization server (RFC 8414 section 2), as far as a token request needs it. Aliases
// for mutual TLS (RFC 8705 section 5) are not read.
struct ServerMetadata {
  std::string issuer;
  std::string token_endpoint;                         // empty: none
  std::string pushed_authorization_request_endpoint;  // RFC 9126 section 5; empty: none
  std::string authorization_endpoint;                 // empty: none
  std::optional<std::vector<std::string>> grant_types;
  std::optional<std::vector<std::string>> authentication_methods;
  std::optional<std::vector<std::string>> signing_algorithms;
  std::string jwks_uri;                    // empty: none
  std::string userinfo_endpoint;           // OpenID Connect Discovery 1.0 section 3; empty: none
  bool names_issuer_in_responses = false;  // RFC 9207 section 3
};

// Checks an issuer (RFC 8414 section 2); messages call it `option`. INVALID_ARGUMENT: it is no URL without query.
Result<Url> ParseIssuer(const std::string& option, const std::string& issuer);

// Reads the metadata of `issuer`: RFC 8414 section 3, then OpenID Connect Discovery 1.0 section 4. All requests
// together take at most `limit`. Errors of ParseIssuer. UNAVAILABLE: no answer came in time. NOT_FOUND: the server
// publishes none. FAILED_PRECONDITION: it is not that issuer's.
Result<ServerMetadata> FetchMetadata(const std::string& option, const std::string& issuer, const std::string& ca_file,
                                     std::chrono::milliseconds limit = std::chrono::seconds(60),
                                     const std::stop_token& given_up = {});

// The same of an answer. NOT_FOUND: it is no JSON object.
Result<ServerMetadata> ParseMetadata(const std::string& option, const std::string& issuer, const HttpAnswer& answer);

// The paths to ask at the issuer's origin, in order.
std::vector<std::string> MetadataPaths(std::string_view issuer_path);

// An endpoint of the metadata; `name` is its member. FAILED_PRECONDITION if there is none, or one that is not https
// although the issuer is.
Result<Url> EndpointOf(const ServerMetadata& metadata, const std::string& name, const std::string& url);

// The planned request, to compare with the metadata.
struct PlannedRequest {
  std::string client_id;
  std::string grant_type;  // empty: a pushed authorization request
  bool authenticates;      // the assertion authenticates the client; otherwise it is the grant
  std::string endpoint;    // that the assertion is sent to
};

// Compares grant, authentication method, and the assertion's alg and aud with what the server takes.
// FAILED_PRECONDITION says what the server offers, what the client has, and what to change.
Status Compare(const ServerMetadata& metadata, const PlannedRequest& request, std::string_view assertion);

}  // namespace assertion::oauth
