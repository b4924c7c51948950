#pragma once

#include <spdlog/common.h>
#include <spdlog/formatter.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace assertion {

enum class LogFormat { kText, kJson };

// Sends the log to standard error, one line per event, times in UTC.
void StartLog(LogFormat format);

// Text for people, with control characters as \xNN; or one JSON object per line for programs: time, level, message, and
// trace_id if there is one.
std::unique_ptr<spdlog::formatter> LogFormatter(LogFormat format);

// Text if standard error is a terminal, else JSON.
LogFormat DefaultLogFormat();

// A kind of line that others can cause at any rate. The first few of a second are written; the others are counted, and
// one line reports the count at the end of the second: "… and 8212 more like: LINE". May be used from any thread.
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

// While it lives, lines that this thread logs carry the trace id (W3C Trace Context); empty: none.
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
