#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace assertion {

// Notifies the service manager: sd_notify(3), implemented directly, because libsystemd would load half a dozen
// libraries into a process that holds a PIN. Without $NOTIFY_SOCKET it does nothing.
class Supervisor {
 public:
  // Removes the variables from the environment, so that child processes do not inherit them. Call it before any thread
  // starts.
  static Supervisor FromEnvironment();

  // Newline-separated assignments, for example "READY=1\nSTATUS=serving".
  void Notify(const std::string& assignments) const;

  // Send READY=1 afterwards.
  void NotifyReloading() const;

  // The interval of the watchdog; empty: there is none.
  std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_; }

 private:
  std::string address_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace assertion
