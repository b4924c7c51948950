#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// The time that the time line of all keys shows.
struct TimeWindow {
  Time from;
  Time until;
};

// "day", "month" or "year" (any other) around now, a quarter of it past.
TimeWindow WindowOf(std::string_view span, Time now);

// The width of every time line. A place on it is a number from 0 to this.
inline constexpr int kTimeLineWidth = 1000;

// Where a moment is in the window; nothing: outside.
std::optional<int> PlaceOf(Time time, const TimeWindow& window);

// A time in which a key does one thing.
struct LifeBar {
  const char* doing;  // "published", "signing" or "retiring"
  int from;
  int until;  // more than `from`
};

// What a key did, does and will do in the window, in order.
std::vector<LifeBar> BarsOf(const v1::Key& key, const TimeWindow& window);

// The bars, now and the certificate's end as SVG. `description` is for who does not see them.
std::string TimeLine(const v1::Key& key, const TimeWindow& window, Time now, const std::string& description);

// The dates above the time lines, and what the colours mean.
std::string TimeScale(const TimeWindow& window);

}  // namespace assertion::cli
