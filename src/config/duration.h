#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace assertion {

// A span of time as operators write it: digits and one unit, s, m or h; for example 300s. Nothing for anything else.
std::optional<std::chrono::seconds> ParseDuration(std::string_view text);

}  // namespace assertion
