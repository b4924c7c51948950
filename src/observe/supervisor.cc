#include "observe/supervisor.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "assertion/descriptor.h"

namespace assertion {
namespace {

std::string Taken(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

Supervisor Supervisor::FromEnvironment() {
  Supervisor supervisor;
  supervisor.address_ = Taken("NOTIFY_SOCKET");
  const auto limit = ParseNumber<std::uint64_t>(Taken("WATCHDOG_USEC"));
  const auto pid = Taken("WATCHDOG_PID");  // empty: whoever reads it
  if (limit && *limit > 0 && (pid.empty() || ParseNumber<pid_t>(pid) == getpid())) {
    supervisor.watchdog_ = std::chrono::microseconds(*limit / 2);  // as sd_watchdog_enabled(3) advises
  }
  return supervisor;
}

void Supervisor::NotifyReloading() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  Notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void Supervisor::Notify(const std::string& assignments) const {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const bool is_path = address_.starts_with('/');
  if ((!is_path && !address_.starts_with('@')) || address_.size() >= sizeof address.sun_path) {
    return;
  }
  std::memcpy(address.sun_path, address_.data(), address_.size());
  if (!is_path) {
    address.sun_path[0] = '\0';  // an abstract one
  }
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A manager that does not listen is no reason to stop: it decides by what it hears.
  static_cast<void>(sendto(socket.get(), assignments.data(), assignments.size(), MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&address), size));
}

}  // namespace assertion
