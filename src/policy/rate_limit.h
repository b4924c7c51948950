#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/rate.h"

namespace assertion {

// Limits the rate of each caller. May be used from any thread.
class RateLimit {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  explicit RateLimit(Rate rate) : rate_(rate) {}

  // Counts one call of the caller. RESOURCE_EXHAUSTED, with the delay after which a retry fits, when the rate is used
  // up.
  Status Take(std::string_view caller, Instant now);

  // The number of callers that are remembered.
  std::size_t size() const;

 private:
  struct Bucket {
    double tokens;
    Instant filled;
  };

  double TokensAt(const Bucket& bucket, Instant now) const;
  void ForgetIdleCallers(Instant now) REQUIRES(mutex_);

  const Rate rate_;
  mutable Mutex mutex_;
  std::map<std::string, Bucket, std::less<>> buckets_ GUARDED_BY(mutex_);
  std::size_t too_many_ GUARDED_BY(mutex_) = 1024;
};

}  // namespace assertion
