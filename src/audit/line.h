#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "audit/event.h"

namespace assertion::audit {

inline constexpr std::size_t kLongestLine = 16384;
inline constexpr std::string_view kOpened = "LogOpened";
inline constexpr std::string_view kResumed = "LogResumed";
inline constexpr std::string_view kWithheld = "LinesWithheld";
inline constexpr std::string_view kCheckpoint = "Checkpoint";

// The end of the chain: the last line's sequence and the SHA-256 of its octets without the line feed, base64url.
struct Head {
  std::uint64_t sequence = 0;
  std::string hash;

  friend bool operator==(const Head&, const Head&) = default;
};

// The head before the first line.
Head Genesis();

// The body of an event's line, ready to be chained: everything except sequence and prev. ASCII only, so that a line
// shown on a terminal cannot control it. Text of callers is cut at 256 octets, an audience or a URL at 1024, and text
// of peers that are not entitled at 64 octets as written.
std::string Body(const Event& event, std::chrono::system_clock::time_point now);
std::string Body(const nlohmann::ordered_json& members, std::string_view event,
                 std::chrono::system_clock::time_point now);

// The line that follows `head`, without its line feed. Advances `head` to it.
std::string Chain(Head& head, std::string_view body);

// A parsed line.
struct Line {
  std::uint64_t sequence;
  std::string prev;
  std::string event;
  std::string hash;  // of the line itself
  nlohmann::json members;
};

// INVALID_ARGUMENT when the text is not a line of an audit log.
Result<Line> ParseLine(std::string_view text);

}  // namespace assertion::audit
