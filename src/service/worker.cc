#include "service/worker.h"

#include <utility>

namespace assertion::service {

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  filled_.notify_all();
  thread_.join();
}

Status Worker::Post(std::move_only_function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting) {
      return Fail(Code::kResourceExhausted, "too many changes are waiting; try again later");
    }
    waiting_.push_back(std::move(work));
  }
  filled_.notify_one();
  return {};
}

void Worker::Work() {
  while (true) {
    std::move_only_function<void()> work;
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
      if (waiting_.empty()) {
        return;
      }
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    work();
  }
}

}  // namespace assertion::service
