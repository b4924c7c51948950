#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace assertion::audit {

// What is recorded of one assertion or of one administrative act. What is empty is left out of the line.
struct Event {
  std::string name;    // the gRPC method, or what assertiond itself did: Start, Reload, Stop
  std::string caller;  // as Caller::name
  std::string client_id;
  std::string audience;
  std::string jti;
  std::string kid;
  std::optional<std::chrono::seconds> lifetime;
  std::string request_id;  // of an administrative act
  std::string change;      // a pending change: that the act became, or that it approves or withdraws
  struct Accepted {
    std::int64_t found = 0;
    std::int64_t seen = 0;
  };
  std::optional<Accepted> accepted;  // versions: a ledger that counts although a later one was seen
  std::string outcome;               // the gRPC status code's name
  std::string reason;                // of a refusal: what the caller was told
  std::optional<std::chrono::microseconds> latency;
  std::uint64_t count = 0;  // of what one line stands for; 0: itself
  std::string since;        // when that began, RFC 3339
  bool entitled = true;     // false: of a peer that may not do this; see LogOptions::reserve
  std::string trace_id;     // W3C Trace Context, 32 hexadecimal digits
};

}  // namespace assertion::audit
