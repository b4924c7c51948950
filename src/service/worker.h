#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "assertion/error.h"
#include "assertion/mutex.h"

namespace assertion::service {

// A thread that does one thing after the other. No caller takes the places of others: each has a few of its own.
class Worker {
 public:
  static constexpr std::size_t kMostWaiting = 64;
  static constexpr std::size_t kMostOfOne = 4;

  Worker() : thread_([this] { Work(); }) {}

  // Finishes what was accepted before it ends.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // RESOURCE_EXHAUSTED, with the time after which to try again, when too many wait, or too many of this caller's.
  Status Post(const std::string& caller, std::move_only_function<void()> work);

 private:
  void Work();

  Mutex mutex_;
  ConditionVariable filled_;
  std::deque<std::pair<std::string, std::move_only_function<void()>>> waiting_
      GUARDED_BY(mutex_);  // with their callers
  bool closing_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace assertion::service
