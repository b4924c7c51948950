#pragma once

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <optional>
#include <thread>

#include "assertion/mutex.h"

namespace assertion {

// The signals that stop and reload this process, read by a thread that does nothing else: a stop takes effect even when
// other threads hang, for example in a call into a module, and takes no longer than its limit.
class Signals {
 public:
  enum class Event { kStop, kReload, kNone };

  // Construct it before any other thread starts: threads inherit that these signals are blocked. `overdue` is called
  // when a stop takes longer than its limit, and does not return. `limit` holds until SetLimit.
  Signals(std::chrono::seconds limit, std::function<void()> overdue);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Waits for the next event; kNone when there is none in that time. After a stop each call returns kStop.
  Event Wait(std::optional<std::chrono::microseconds> time);

  // Returns true if a stop is requested within that time. Other events stay for Wait.
  bool IsStoppedWithin(std::chrono::milliseconds time);

  // Limits the time that a stop may take: from the signal, or from now when it has arrived.
  void SetLimit(std::chrono::seconds limit);

  bool stopping() const;

 private:
  void Read(const std::stop_token& stop);

  const std::function<void()> overdue_;
  sigset_t signals_{};
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::chrono::seconds limit_ GUARDED_BY(mutex_);
  std::optional<std::chrono::steady_clock::time_point> deadline_ GUARDED_BY(mutex_);  // set: a stop runs
  bool reload_ GUARDED_BY(mutex_) = false;
  std::jthread reader_;
};

}  // namespace assertion
