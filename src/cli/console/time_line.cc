#include "cli/console/time_line.h"

#include <algorithm>
#include <chrono>

#include "cli/html.h"
#include "cli/instant.h"

namespace assertion::cli {
namespace {

using std::chrono::hours;

constexpr int kHeight = 22;
constexpr int kMark = 4;  // width

std::string Rectangle(const char* style, int from, int until, int top, int bottom) {
  return "<rect class=\"" + std::string(style) + "\" x=\"" + std::to_string(from) + "\" y=\"" + std::to_string(top) +
         "\" width=\"" + std::to_string(until - from) + "\" height=\"" + std::to_string(bottom - top) + "\"/>";
}

std::string Mark(const char* style, const std::optional<int>& place) {
  if (!place) {
    return "";
  }
  const auto from = std::clamp(*place - kMark / 2, 0, kTimeLineWidth - kMark);
  return Rectangle(style, from, from + kMark, 0, kHeight);
}

}  // namespace

TimeWindow WindowOf(std::string_view span, Time now) {
  constexpr int kPast = 1;
  constexpr int kAll = 4;
  const hours all = span == "day" ? hours(24) : span == "month" ? hours(24 * 32) : hours(24 * 500);
  return {.from = now - all * kPast / kAll, .until = now + all * (kAll - kPast) / kAll};
}

std::optional<int> PlaceOf(Time time, const TimeWindow& window) {
  if (time < window.from || time > window.until) {
    return std::nullopt;
  }
  return static_cast<int>((time - window.from) * kTimeLineWidth / (window.until - window.from));
}

std::vector<LifeBar> BarsOf(const v1::Key& key, const TimeWindow& window) {
  const auto publish_until = ToTime(key.publish_until());
  const auto sign_until = std::min(ToTime(key.sign_until()), publish_until);
  const auto sign_from = std::min(ToTime(key.sign_from()), sign_until);
  std::vector<LifeBar> bars;
  const auto add = [&](const char* doing, Time from, Time until) {
    from = std::clamp(from, window.from, window.until);
    until = std::clamp(until, window.from, window.until);
    if (from < until) {
      const auto begin = *PlaceOf(from, window);
      bars.push_back({.doing = doing, .from = begin, .until = std::max(*PlaceOf(until, window), begin + 1)});
    }
  };
  add("published", ToTime(key.publish_from()), sign_from);
  add("signing", sign_from, sign_until);
  add("retiring", sign_until, publish_until);
  return bars;
}

std::string TimeLine(const v1::Key& key, const TimeWindow& window, Time now, const std::string& description) {
  constexpr int kTop = 5;
  auto svg = "<svg class=\"life\" viewBox=\"0 0 " + std::to_string(kTimeLineWidth) + " " + std::to_string(kHeight) +
             "\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"" + Escaped(description) + "\">" +
             Rectangle("track", 0, kTimeLineWidth, kTop, kHeight - kTop);
  for (const auto& bar : BarsOf(key, window)) {
    svg += Rectangle(bar.doing, bar.from, bar.until, kTop, kHeight - kTop);
  }
  if (!key.x5t_s256().empty()) {
    svg += Mark("end", PlaceOf(ToTime(key.not_after()), window));
  }
  return svg + Mark("now", PlaceOf(now, window)) + "</svg>\n";
}

std::string TimeScale(const TimeWindow& window) {
  constexpr int kParts = 3;
  const bool is_short = window.until - window.from < hours(48);
  std::string html = "<div class=\"scale\" aria-hidden=\"true\">";
  for (int part = 0; part <= kParts; ++part) {
    const auto text = Rfc3339(window.from + (window.until - window.from) * part / kParts);
    html += "<span>" + (is_short ? text.substr(11, 5) + " UTC" : text.substr(0, 10)) + "</span>";
  }
  return html +
         "</div>\n<ul class=\"legend\"><li><span class=\"published\"></span>published</li>"
         "<li><span class=\"signing\"></span>signing</li><li><span class=\"retiring\"></span>retiring</li>"
         "<li><span class=\"end\"></span>certificate ends</li><li><span class=\"now\"></span>now</li></ul>\n";
}

}  // namespace assertion::cli
