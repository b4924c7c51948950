#pragma once

#include <chrono>
#include <condition_variable>
#include <expected>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "assertion/mutex.h"
#include "config/config.h"

namespace assertion {

// Reads the configuration again on a thread of its own. A read that hangs, as from a network drive, delays neither the
// watchdog nor a stop, and the next request is still answered.
class Reloading {
 public:
  using Read = std::expected<Config, std::vector<std::string>>;

  Reloading() = default;
  ~Reloading() = default;
  Reloading(const Reloading&) = delete;
  Reloading& operator=(const Reloading&) = delete;

  // From now on each request calls `read`, which reads `file`, and `apply` with the result. `read` must not touch what
  // a stop destroys.
  void Start(std::string file, std::function<Read()> read, std::function<void(const Read&)> apply);

  // Requests a read. A reload that runs already is followed by another, because it may have read the file before it
  // changed; the log says so.
  void Request();

  // `apply` tells its next step, for example "reading the files of TLS".
  void SetStep(std::string step);

  // Prevents further calls of `apply`. False when one that runs does not return in time.
  bool Close(std::chrono::milliseconds limit);

  // Waits for the thread, for ever when a read hangs: the limit of the stop's time (Signals) must be in force.
  void End() { thread_ = {}; }

  // The step that runs now; empty when no reload runs.
  std::string CurrentStep() const;

 private:
  void Run(const std::stop_token& stop);
  void Reload();

  std::string file_;
  std::function<Read()> read_;
  std::function<void(const Read&)> apply_;
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  bool wanted_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  bool applying_ GUARDED_BY(mutex_) = false;
  std::string step_ GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point since_ GUARDED_BY(mutex_);
  std::jthread thread_;  // destroyed first
};

}  // namespace assertion
