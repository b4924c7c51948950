#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/key_limits.h"
#include "assertion/mutex.h"

namespace assertion {

// Counts the keys that this process made in the last hour. All methods may be called from any thread.
class GenerationLimit {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Counts one more key of the client's. RESOURCE_EXHAUSTED, with the time until there is room for it, when that is
  // more than the limits allow: then it does not count.
  Status Take(std::string_view client_id, const KeyLimits& limits, Instant now);

  // The client's newest was not made after all.
  void GiveBack(std::string_view client_id);

 private:
  struct Made {
    std::string client_id;
    Instant when;
  };

  Mutex mutex_;
  std::deque<Made> made_ GUARDED_BY(mutex_);  // oldest first
};

}  // namespace assertion
