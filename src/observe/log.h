#pragma once

#include <spdlog/common.h>
#include <spdlog/formatter.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace assertion {

enum class LogFormat { kText, kJson };

// Sends the log to standard error, one line an event, UTC.
void StartLog(LogFormat format);

// Text for people, with controls as \xNN, or one JSON object a line for programs: time, level, message, and trace_id if
// there is one.
std::unique_ptr<spdlog::formatter> LogFormatter(LogFormat format);

// For people where standard error is a terminal.
LogFormat DefaultLogFormat();

// A kind of line that others can cause as often as they like. The first few of a second are written; the others are
// counted, and when the second is over one line says how many: "… and 8212 more like: LINE". May be used from any
// thread.
class SparingLog {
 public:
  static constexpr std::size_t kMostPerSecond = 5;
  static constexpr std::size_t kLongest = 512;  // octets of a line; the rest is cut

  SparingLog();
  void Write(spdlog::level::level_enum level, std::string_view line);

 private:
  class Kind;
  class Counting;

  const std::shared_ptr<Kind> kind_;
};

// What this thread logs while it lives belongs to that trace (W3C Trace Context); empty: to none.
class LogTrace {
 public:
  // `trace_id` must outlive it.
  explicit LogTrace(std::string_view trace_id);
  ~LogTrace();
  LogTrace(const LogTrace&) = delete;
  LogTrace& operator=(const LogTrace&) = delete;

 private:
  const std::string_view before_;
};

}  // namespace assertion
