#pragma once

#include <cstddef>

#include "assertion/rate.h"

namespace assertion::service {

// How many connections there may be.
struct ConnectionLimits {
  std::size_t per_peer = 64;  // 1 to 65536
  std::size_t total = 1024;   // 1 to 65536
  std::size_t acceptors = 1;  // acceptors in this process, each with these limits: they share its descriptors
  // Unfinished handshakes at once, an eighth of them for one source; 0: a greeting begins no handshake.
  std::size_t handshakes = 0;

  friend bool operator==(const ConnectionLimits&, const ConnectionLimits&) = default;
};

// Ended connections whose descriptor gRPC still has; accepting stops while there are so many.
inline constexpr std::size_t kMostLeftovers = 64;

// The lowest descriptor that a connection takes. Lower ones are left to the HSM's module (some use select(2)), the logs
// and operators.
int LowestConnectionDescriptor(const ConnectionLimits& limits);

// How many of `total` connections the process's limit of descriptors leaves room for; at least 1.
std::size_t FittingConnections(const ConnectionLimits& limits);

// New connections of a source that the configuration does not list.
Rate RateOfStrangers(std::size_t per_peer);

}  // namespace assertion::service
