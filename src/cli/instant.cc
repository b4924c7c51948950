#include "cli/instant.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include "assertion/key_record.h"
#include "config/duration.h"

namespace assertion::cli {
namespace {

using std::chrono::days;

std::optional<std::chrono::seconds> ParseSpan(std::string_view text) {
  if (!text.ends_with('d')) {
    return ParseDuration(text);
  }
  // A day is 24 hours: the clock is UTC.
  const auto hours = ParseDuration(std::string(text.substr(0, text.size() - 1)) + "h");
  return hours ? std::optional(*hours * (days(1) / std::chrono::hours(1))) : std::nullopt;
}

// YYYY-MM-DDTHH:MM:SSZ with a valid date and time.
std::optional<Time> ParseRfc3339(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  const auto fits = [](char c, char shape) { return shape == '0' ? c >= '0' && c <= '9' : c == shape; };
  if (!std::ranges::equal(text, kShape, fits)) {
    return std::nullopt;
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    unsigned value = 0;
    std::from_chars(text.data() + at, text.data() + at + digits, value);
    return value;
  };
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(number(0, 4))),
                                         std::chrono::month(number(5, 2)), std::chrono::day(number(8, 2)));
  const auto hour = number(11, 2);
  const auto minute = number(14, 2);
  const auto second = number(17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

}  // namespace

Result<Time> ParseInstant(std::string_view text, Time now) {
  if (text == "now") {
    return now;
  }
  if (text == "never") {
    return kNever;
  }
  const auto span = text.starts_with('+') ? ParseSpan(text.substr(1)) : std::nullopt;
  const auto time = span ? now + *span : ParseRfc3339(text);
  if (!time || *time > kNever) {
    return Fail(Code::kInvalidArgument, "'" + std::string(text) +
                                            "' is none of: now, never, a span such as +90s, +15m, +2h or +1d, or a "
                                            "time in UTC such as 2026-11-24T12:00:00Z");
  }
  return *time;
}

Result<Time> ParsePastInstant(std::string_view text, Time now, EdgeOfDay edge) {
  if (text == "now") {
    return now;
  }
  if (const auto day = ParseRfc3339(std::string(text) + "T00:00:00Z")) {
    return *day + (edge == EdgeOfDay::kBegin ? days(0) : days(1));
  }
  const auto span = text.starts_with('-') ? ParseSpan(text.substr(1)) : std::nullopt;
  const auto time = span ? now - *span : ParseRfc3339(text);
  if (!time) {
    return Fail(Code::kInvalidArgument,
                "'" + std::string(text) +
                    "' is none of: now, a span before now such as -90s, -15m, -2h or -1d, a "
                    "day in UTC such as 2026-11-24, or a time in UTC such as 2026-11-24T12:00:00Z");
  }
  return *time;
}

std::string InstantText(Time time) { return time == kNever ? "never" : Rfc3339(time); }

}  // namespace assertion::cli
