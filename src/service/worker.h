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

// A thread that runs tasks one after the other. Each caller has a limited number of places, so that none can occupy
// them all.
class Worker {
 public:
  static constexpr std::size_t kMostWaiting = 64;
  static constexpr std::size_t kMostOfOne = 4;

  Worker() : thread_([this] { Work(); }) {}

  // Finishes the accepted tasks.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // RESOURCE_EXHAUSTED, with a retry delay, when too many tasks wait, in all or of this caller.
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
