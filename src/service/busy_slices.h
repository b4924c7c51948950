#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "policy/rate_limit.h"

namespace assertion::service {

// How much of the time octets of a peer's connections come, or wait to be read: the only sign of what they cost gRPC.
// Time is cut into slices of 10 ms. A peer may be busy in 10 of 100 slices, in bursts of 50. Not thread-safe.
class BusySlices {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  BusySlices();

  // The peer's connection `fd`, with its number, is busy in this slice. False: the peer has used up its slices.
  bool Charge(int fd, std::uint64_t number, const std::string& peer, Instant now);

  // When the slice ends; unset while no connection is busy.
  std::optional<Instant> end() const;

  // The connections that were busy in the slice, with their numbers, once it is over. The next slice is empty then.
  std::map<int, std::uint64_t> TakeEnded(Instant now);

 private:
  RateLimit budgets_;                           // by peer
  std::map<int, std::uint64_t> busy_;           // in this slice
  std::set<std::string, std::less<>> charged_;  // for this slice
  Instant end_;
};

}  // namespace assertion::service
