#include "observe/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace assertion {

void StartLog() {
  auto log = spdlog::stderr_logger_mt("assertiond");
  log->set_formatter(
      std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
  log->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(log));
}

}  // namespace assertion
