#include "service/open_calls.h"

#include <chrono>
#include <utility>

namespace assertion::service {

OpenCalls::Place::Place(OpenCalls& calls, std::string connection) : calls_(calls), connection_(std::move(connection)) {
  const MutexLock lock(calls_.mutex_);
  within_limit_ = calls_.open_[connection_]++ < kMostOfOne;
}

OpenCalls::Place::~Place() {
  const MutexLock lock(calls_.mutex_);
  const auto found = calls_.open_.find(connection_);
  if (--found->second == 0) {
    calls_.open_.erase(found);
  }
}

Status OpenCalls::Place::CheckLimit() const {
  constexpr std::chrono::milliseconds kRetry{100};
  if (within_limit_) {
    return {};
  }
  return std::unexpected(Error{.code = Code::kResourceExhausted,
                               .message = "more than " + std::to_string(kMostOfOne) +
                                          " calls are open on this connection: wait for answers before you call again",
                               .detail = {},
                               .retry_delay = kRetry});
}

bool OpenCalls::HasAny(const std::string& connection) const {
  const MutexLock lock(mutex_);
  return open_.contains(connection);
}

OpenCalls& OpenCalls::OfProcess() {
  static OpenCalls calls;
  return calls;
}

}  // namespace assertion::service
