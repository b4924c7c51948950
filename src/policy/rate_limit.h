#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/rate.h"

namespace assertion {

// Holds each caller to a rate. May be used from any thread.
class RateLimit {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  explicit RateLimit(Rate rate) : rate_(rate) {}

  // One call of this caller's. RESOURCE_EXHAUSTED, with the time until there is room for one, when it is too many.
  Status Take(std::string_view caller, Instant now);

  // How many callers it has to remember.
  std::size_t size() const;

 private:
  struct Bucket {
    double tokens;
    Instant filled;
  };

  double TokensAt(const Bucket& bucket, Instant now) const;
  void ForgetWhoIsIdle(Instant now);

  const Rate rate_;
  mutable std::mutex mutex_;
  std::map<std::string, Bucket, std::less<>> buckets_;
  std::size_t too_many_ = 1024;
};

}  // namespace assertion
