#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "assertion/duration_histogram.h"

namespace assertion {

// Counts of a SigningQueue since its start, for monitoring.
struct SigningStatistics {
  DurationHistogram queue_time;          // callers' jobs: from Submit until a worker took them
  DurationHistogram hsm_time;            // signatures that the token made
  std::atomic<std::uint64_t> failed{0};  // attempts with no signature, or a wrong one
  std::atomic<std::uint64_t> sessions_opened{0};
  std::atomic<std::uint64_t> sessions_closed{0};     // for any reason
  std::atomic<std::uint64_t> sessions_discarded{0};  // after an error
  std::atomic<std::uint64_t> pauses{0};
};

// The current state of a SigningQueue.
struct SigningOccupancy {
  std::size_t waiting;   // jobs
  std::size_t capacity;  // jobs that may wait
  std::size_t busy;      // sessions that are signing
  std::size_t hung;      // sessions whose call does not return
  std::size_t sessions;  // limit, not counting those that hang
  bool paused;           // the breaker is open
};

}  // namespace assertion
