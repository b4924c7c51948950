#include "service/worker.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace assertion::service {
namespace {

constexpr std::chrono::milliseconds kTryAgainAfter{1000};

std::unexpected<Error> TooMany(std::string message) {
  return std::unexpected(Error{
      .code = Code::kResourceExhausted, .message = std::move(message), .detail = {}, .retry_delay = kTryAgainAfter});
}

}  // namespace

Worker::~Worker() {
  {
    const MutexLock lock(mutex_);
    closing_ = true;
  }
  filled_.notify_all();
  thread_.join();
}

Status Worker::Post(const std::string& caller, std::move_only_function<void()> work) {
  {
    const MutexLock lock(mutex_);
    if (waiting_.size() >= kMostWaiting) {
      return TooMany("too many calls are waiting; try again later");
    }
    if (std::cmp_greater_equal(std::ranges::count_if(waiting_, [&](const auto& one) { return one.first == caller; }),
                               kMostOfOne)) {
      return TooMany("too many of your calls are waiting; try again when some of them are answered");
    }
    waiting_.emplace_back(caller, std::move(work));
  }
  filled_.notify_one();
  return {};
}

void Worker::Work() {
  while (true) {
    std::move_only_function<void()> work;
    {
      MutexLock lock(mutex_);
      filled_.wait(lock, [this]() REQUIRES(mutex_) { return closing_ || !waiting_.empty(); });
      if (waiting_.empty()) {
        return;
      }
      work = std::move(waiting_.front().second);
      waiting_.pop_front();
    }
    work();
  }
}

}  // namespace assertion::service
