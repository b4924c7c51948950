#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "signing/duration_histogram.h"

namespace assertion {

// What a SigningQueue has done since its start, for monitoring.
struct SigningStatistics {
  DurationHistogram queue_time;          // of callers' jobs, until a worker took them
  DurationHistogram hsm_time;            // of signatures that the token made
  std::atomic<std::uint64_t> failed{0};  // attempts that made no signature, or a wrong one
  std::atomic<std::uint64_t> sessions_opened{0};
  std::atomic<std::uint64_t> sessions_closed{0};     // whatever the reason
  std::atomic<std::uint64_t> sessions_discarded{0};  // after an error
  std::atomic<std::uint64_t> pauses{0};
};

// What a SigningQueue has in hand at this moment.
struct SigningOccupancy {
  std::size_t waiting;   // jobs
  std::size_t capacity;  // for such
  std::size_t busy;      // sessions that sign
  std::size_t hung;      // sessions whose call does not return
  std::size_t sessions;  // at most, without those that hang
  bool paused;           // the breaker is open
};

}  // namespace assertion
