#pragma once

#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <string>

namespace assertion {

// Wall-clock time in whole seconds, as NumericDate counts it (RFC 7519 section 2).
using Time = std::chrono::sys_seconds;
using Clock = std::function<Time()>;

inline Time SystemTime() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// RFC 3339 in UTC, for example 2027-01-15T08:00:00Z.
inline std::string Rfc3339(Time time) {
  const auto seconds = static_cast<std::time_t>(time.time_since_epoch().count());
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

}  // namespace assertion
