#pragma once

#include <chrono>

namespace grpc {
class ServerBuilder;
}

namespace assertion::service {

// Time limits. The defaults are those of the program; tests use shorter ones.
struct Limits {
  std::chrono::milliseconds connection_age = std::chrono::minutes(5);
  std::chrono::milliseconds connection_grace = std::chrono::seconds(10);  // for calls that are open then
  std::chrono::milliseconds stream_age = std::chrono::minutes(5);
  std::chrono::milliseconds message_wait = std::chrono::seconds(30);     // for a call's message, or a stream's first
  std::chrono::milliseconds refresh_interval = std::chrono::seconds(5);  // how often trust and connections are checked
};

// Sets what no peer may exceed: connection age, calls per connection, octets of a request and of its headers. Turns
// compression off.
void SetLimits(grpc::ServerBuilder& builder, const Limits& limits);

}  // namespace assertion::service
