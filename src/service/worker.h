#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "assertion/error.h"

namespace assertion::service {

// A thread that does one thing after the other.
class Worker {
 public:
  static constexpr std::size_t kMostWaiting = 16;

  Worker() : thread_([this] { Work(); }) {}

  // Finishes what was accepted before it ends.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // RESOURCE_EXHAUSTED when too many wait.
  Status Post(std::move_only_function<void()> work);

 private:
  void Work();

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::move_only_function<void()>> waiting_;
  bool closing_ = false;
  std::jthread thread_;
};

}  // namespace assertion::service
