#include "service/open_calls.h"

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

OpenCalls& OpenCalls::OfProcess() {
  static OpenCalls calls;
  return calls;
}

}  // namespace assertion::service
