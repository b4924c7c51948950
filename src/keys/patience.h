#pragma once

#include <chrono>

namespace assertion {

// How long a change waits for another administrator, and what it does then.
struct Patience {
  std::chrono::milliseconds longest = std::chrono::seconds(10);

  // The emergency brake: it goes on beside a change of this very process without waiting, and when the time is up it
  // takes the client over from its present holder. Others get ABORTED.
  bool takes_over = false;
};

inline constexpr Patience kBrake{.longest = std::chrono::seconds(1), .takes_over = true};

// For work that takes no client: it runs beside a change of this process, and waits for other processes.
inline constexpr Patience kBeside{.takes_over = true};

// The same, and never waits: for work that may as well be done later.
inline constexpr Patience kWithoutWaiting{.longest = std::chrono::seconds(0), .takes_over = true};

}  // namespace assertion
