#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "assertion/clock.h"
#include "assertion/error.h"

namespace assertion::cli {

inline Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return Time(std::chrono::seconds(timestamp.seconds()));
}

inline google::protobuf::Timestamp ToTimestamp(Time time) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(time.time_since_epoch().count());
  return timestamp;
}

// Parses a time as operators write it: "now"; "never"; a span from now on such as +90s, +15m, +2h or +1d; or RFC 3339
// in UTC, for example 2026-11-24T12:00:00Z. INVALID_ARGUMENT for anything else.
Result<Time> ParseInstant(std::string_view text, Time now);

// Which moment a whole day stands for: its first, or the first after it.
enum class EdgeOfDay : std::uint8_t { kBegin, kEnd };

// The same of what has happened: "now"; a span before now such as -90s, -15m, -2h or -1d; a UTC day such as 2026-11-24;
// or RFC 3339 in UTC.
Result<Time> ParsePastInstant(std::string_view text, Time now, EdgeOfDay edge);

// RFC 3339, or "never".
std::string InstantText(Time time);

}  // namespace assertion::cli
