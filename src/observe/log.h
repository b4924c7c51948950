#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>
#include <string_view>

namespace assertion {

enum class LogFormat { kText, kJson };

// Sends the log to standard error, one line an event, UTC.
void StartLog(LogFormat format);

// Text for people, or one JSON object a line for programs: time, level, message, and trace_id if there is one.
std::unique_ptr<spdlog::formatter> LogFormatter(LogFormat format);

// For people where standard error is a terminal.
LogFormat DefaultLogFormat();

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
