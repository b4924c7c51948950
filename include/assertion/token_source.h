#pragma once

#include <string>
#include <vector>

namespace assertion {

// Where assertiond buys access tokens for a client, and what callers may ask for.
struct TokenSource {
  struct Scope {
    std::string name;                  // RFC 6749 section 3.3
    std::vector<std::string> callers;  // some of the client's, as in Client::callers; empty: all of them

    friend bool operator==(const Scope&, const Scope&) = default;
  };

  std::string token_endpoint;          // https://…; http:// to a loopback host only; empty: `issuer` publishes it
  std::string issuer;                  // of the identity server (RFC 8414), as token_endpoint; empty: not asked
  std::string ca_file;                 // PEM; empty: the system's authorities
  std::string audience;                // of the assertion; one of the client's
  std::vector<Scope> scopes;           // empty: callers name none, and the identity server decides
  std::vector<std::string> resources;  // RFC 8707; empty: callers name none
  std::string resource_parameter;      // of the token request, holds the caller's resource: "resource" or "audience"
  std::string dpop_client;             // whose key the tokens are bound to (RFC 9449 section 5); empty: bearer tokens

  friend bool operator==(const TokenSource&, const TokenSource&) = default;
};

}  // namespace assertion
