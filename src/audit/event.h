#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/clock.h"

namespace assertion::audit {

// The record of one assertion or one administrative act. Empty fields are left out of the line.
struct Event {
  std::string name;    // the gRPC method, or an act of assertiond itself: Start, Reload, Stop, ChangeExpired
  std::string caller;  // as Caller::name
  std::string client_id;
  std::string audience;
  std::string profile;  // of the client, unless it is the default
  // jwt-bearer or bearer-token of an assertion, dpop, request_object, kubernetes; empty: client authentication
  std::string purpose;
  std::string subject;   // that the caller named
  std::string scope;     // that the caller named
  std::string resource;  // of an access token (RFC 8707)
  std::string htm;       // of a DPoP proof: the HTTP method
  std::string htu;       // of a DPoP proof: the URL
  std::string jti;
  std::string kid;
  std::string alg;          // of the key that an administrative act is about
  std::string token;        // SHA-256 of an access token, base64url
  std::string_view origin;  // of the key, unless assertiond generated it; see OriginNote
  std::optional<std::chrono::seconds> lifetime;
  std::optional<Time> expires_at;  // of a token whose exp the caller chose
  std::string request_id;          // of an administrative act
  std::string change;              // the pending change that the act created, approves or withdraws
  bool pending = false;            // the act made nothing but that pending change
  bool forced = false;             // the change may leave its client without a key that signs
  std::string summary;             // what was asked for, see SummaryOf
  std::string digest;              // of the pending change: what a second person approves
  std::string method;              // of the pending change that is approved or withdrawn, or expired
  std::string requested_by;        // who asked for it, as Caller::name
  struct Accepted {
    std::int64_t found = 0;
    std::int64_t seen = 0;
  };
  std::string config_sha256;         // of the configuration file that counts since a start or reload, hexadecimal
  std::string difference;            // what it changed, see DifferenceOf
  std::optional<Accepted> accepted;  // ledger versions: accepted although a later one was seen
  std::string outcome;               // the gRPC status code's name
  std::string reason;                // of a refusal, as the caller was told
  std::string error;                 // of an identity server's refusal (RFC 6749 section 5.2); see oauth::ErrorOf
  std::optional<std::chrono::microseconds> latency;
  std::uint64_t count = 0;  // events that this line stands for; 0: one
  std::string since;        // with count: when the first of them happened, RFC 3339
  bool entitled = true;     // false: the peer may not do this; see LogOptions::reserve
  std::string trace_id;     // W3C Trace Context, 32 hexadecimal digits
};

}  // namespace assertion::audit
