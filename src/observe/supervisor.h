#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace assertion {

// The service manager that started this process, if it wants to hear of it: sd_notify(3), spoken directly, because
// libsystemd would bring half a dozen libraries into a process that holds a PIN. Without $NOTIFY_SOCKET it says
// nothing.
class Supervisor {
 public:
  // Takes its address and its watchdog out of the environment, which children shall not have. Before any thread.
  static Supervisor FromEnvironment();

  // Newline-separated assignments, for example "READY=1\nSTATUS=serving".
  void Tell(const std::string& assignments) const;

  // READY=1 is to follow.
  void TellReloading() const;

  // How often the watchdog wants to hear; nothing: it does not.
  std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_; }

 private:
  std::string address_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace assertion
