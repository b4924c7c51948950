#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/key_limits.h"

namespace assertion {

// Counts the keys that were made in the hour past. Only this process's, and from its start on: an operator cannot start
// it again. Belongs to one thread at a time.
class GenerationLimit {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Counts one more key of the client's. RESOURCE_EXHAUSTED, with the time until there is room for it, when that is
  // more than the limits allow: then it does not count.
  Status Take(std::string_view client_id, const KeyLimits& limits, Instant now);

 private:
  struct Made {
    std::string client_id;
    Instant when;
  };

  std::deque<Made> made_;  // oldest first
};

}  // namespace assertion
