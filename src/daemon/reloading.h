#pragma once

#include <chrono>
#include <condition_variable>
#include <expected>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"

namespace assertion {

// Reads the configuration again on a thread of its own. What hangs there, a file on a network drive above all, keeps
// neither the watchdog nor a stop waiting, nor the next request unanswered.
class Reloading {
 public:
  using Read = std::expected<Config, std::vector<std::string>>;

  Reloading() = default;
  ~Reloading() = default;
  Reloading(const Reloading&) = delete;
  Reloading& operator=(const Reloading&) = delete;

  // From now on each request calls `read`, and `apply` with what came of it. `read` touches nothing that a stop takes
  // away; `file` is what it reads.
  void Start(std::string file, std::function<Read()> read, std::function<void(const Read&)> apply);

  // Has the file read, once more after the reload that runs: that may have read it before it changed. The log says so.
  void Request();

  // For `apply`: what it does next, as in "reading the files of TLS".
  void Note(std::string doing);

  // Lets `apply` run no more. False when it has not returned in time.
  bool Close(std::chrono::milliseconds limit);

  // Waits for the thread. A read that hangs is not waited for in vain only if somebody limits the stop's time.
  void End() { thread_ = {}; }

  // What it is doing now; empty: nothing.
  std::string Doing() const;

 private:
  void Run(const std::stop_token& stop);
  void Reload();

  std::string file_;
  std::function<Read()> read_;
  std::function<void(const Read&)> apply_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool wanted_ = false;
  bool closed_ = false;
  bool applying_ = false;
  std::string doing_;
  std::chrono::steady_clock::time_point since_;
  std::jthread thread_;  // ends first
};

}  // namespace assertion
