#pragma once

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace assertion {

// The signals by which this process is told to stop or to reload, read by a thread that does nothing else: a stop is
// heard whatever hangs elsewhere, in a module's call above all, and takes no longer than its limit.
class Signals {
 public:
  enum class Told { kStop, kReload, kNothing };

  // Before any other thread: all inherit that these signals are blocked. `ended` is called when a stop has taken longer
  // than its limit; it does not return. `limit` holds until SetLimit.
  Signals(std::chrono::seconds limit, std::function<void()> ended);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // What has been told since the last call; kNothing when nothing was in that time. A stop is told again and again.
  Told Wait(std::optional<std::chrono::microseconds> time);

  // Whether a stop is told within that time. What else is told stays for Wait.
  bool IsStoppedWithin(std::chrono::milliseconds time);

  // How long the stop may take from when it is told, or from now on if it has been.
  void SetLimit(std::chrono::seconds limit);

  bool stopping() const;

 private:
  void Read(const std::stop_token& stop);

  const std::function<void()> ended_;
  sigset_t signals_{};
  mutable std::mutex mutex_;
  std::condition_variable_any told_;
  std::chrono::seconds limit_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;  // set: told to stop
  bool reload_ = false;
  std::jthread reader_;
};

}  // namespace assertion
