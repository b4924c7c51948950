#include "policy/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace assertion {

double RateLimit::TokensAt(const Bucket& bucket, Instant now) const {
  const std::chrono::duration<double> passed = now - bucket.filled;
  return std::min(static_cast<double>(rate_.burst),
                  bucket.tokens + std::max(0.0, passed.count()) * static_cast<double>(rate_.per_second));
}

// A full bucket need not be remembered. The next clean-up comes when there are twice as many buckets as now.
void RateLimit::ForgetIdleCallers(Instant now) {
  std::erase_if(buckets_,
                [&](const auto& entry) { return TokensAt(entry.second, now) >= static_cast<double>(rate_.burst); });
  too_many_ = std::max(too_many_, 2 * buckets_.size());
}

Status RateLimit::Take(std::string_view caller, Instant now) {
  const MutexLock lock(mutex_);
  auto found = buckets_.find(caller);
  if (found == buckets_.end()) {
    if (buckets_.size() >= too_many_) {
      ForgetIdleCallers(now);
    }
    found = buckets_.emplace(caller, Bucket{.tokens = static_cast<double>(rate_.burst), .filled = now}).first;
  }
  auto& bucket = found->second;
  const double tokens = TokensAt(bucket, now);
  bucket = {.tokens = tokens, .filled = std::max(bucket.filled, now)};
  if (tokens < 1) {
    const auto wait = std::ceil((1 - tokens) * 1000 / static_cast<double>(rate_.per_second));
    return std::unexpected(Error{.code = Code::kResourceExhausted,
                                 .message = "more than the " + std::to_string(rate_.per_second) +
                                            " calls a second that each caller may make; try again later",
                                 .detail = {},
                                 .retry_delay = std::chrono::milliseconds(static_cast<std::int64_t>(wait))});
  }
  bucket.tokens -= 1;
  return {};
}

std::size_t RateLimit::size() const {
  const MutexLock lock(mutex_);
  return buckets_.size();
}

}  // namespace assertion
