#include "observe/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace assertion {
namespace {

thread_local std::string_view current_trace;

// As text: " trace_id=…" at the end of the line.
class TraceFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& /*message*/, const std::tm& /*time*/,
              spdlog::memory_buf_t& line) override {
    if (!current_trace.empty()) {
      constexpr std::string_view kName = " trace_id=";
      line.append(kName.data(), kName.data() + kName.size());
      line.append(current_trace.data(), current_trace.data() + current_trace.size());
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<TraceFlag>(); }
};

// The loggers are synchronous: a line is formatted by the thread that logs it.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    spdlog::memory_buf_t time;
    time_.format(message, time);
    const auto text = [](const auto& octets) { return std::string(octets.data(), octets.size()); };
    nlohmann::ordered_json object = {{"time", text(time)},
                                     {"level", text(spdlog::level::to_string_view(message.level))},
                                     {"message", text(message.payload)}};
    if (!current_trace.empty()) {
      object["trace_id"] = std::string(current_trace);
    }
    // What is not UTF-8 is replaced: an HSM may say anything.
    const auto json = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    line.append(json.data(), json.data() + json.size());
  }
  std::unique_ptr<formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

 private:
  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%eZ", spdlog::pattern_time_type::utc, ""};
};

}  // namespace

LogTrace::LogTrace(std::string_view trace_id) : before_(std::exchange(current_trace, trace_id)) {}

LogTrace::~LogTrace() { current_trace = before_; }

LogFormat DefaultLogFormat() { return isatty(STDERR_FILENO) == 1 ? LogFormat::kText : LogFormat::kJson; }

std::unique_ptr<spdlog::formatter> LogFormatter(LogFormat format) {
  if (format == LogFormat::kJson) {
    return std::make_unique<JsonFormatter>();
  }
  auto text = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  text->add_flag<TraceFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v%*");
  return text;
}

void StartLog(LogFormat format) {
  auto log = spdlog::stderr_logger_mt("assertiond");
  log->set_formatter(LogFormatter(format));
  log->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(log));
}

}  // namespace assertion
