#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace assertion {

// Reads a duration: digits and one unit (s, m or h), for example 300s. Nothing for any other text.
std::optional<std::chrono::seconds> ParseDuration(std::string_view text);

}  // namespace assertion
