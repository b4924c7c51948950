#pragma once

#include <chrono>
#include <functional>

namespace assertion {

// Wall-clock time in whole seconds, as NumericDate counts it (RFC 7519 section 2).
using Time = std::chrono::sys_seconds;
using Clock = std::function<Time()>;

inline Time SystemTime() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

}  // namespace assertion
