#include "config/duration.h"

#include <charconv>
#include <cstdint>

namespace assertion {

std::optional<std::chrono::seconds> ParseDuration(std::string_view text) {
  std::uint32_t number = 0;  // 32 bits of hours do not overflow 64 bits of seconds
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [unit, error] = std::from_chars(begin, end, number);
  if (error != std::errc() || end - unit != 1) {
    return std::nullopt;
  }
  switch (*unit) {
    case 's':
      return std::chrono::seconds(number);
    case 'm':
      return std::chrono::minutes(number);
    case 'h':
      return std::chrono::hours(number);
    default:
      return std::nullopt;
  }
}

}  // namespace assertion
