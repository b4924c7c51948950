#include "observe/log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

namespace assertion {
namespace {

constexpr const char* kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";

// What one line of the log looks like.
std::string Line(LogFormat format, const std::string& message, const std::string& trace_id) {
  std::ostringstream lines;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  log.set_formatter(LogFormatter(format));
  const LogTrace trace(trace_id);
  log.warn(message);
  return lines.str();
}

TEST(Log, AsJsonIsOneObjectALine) {
  for (const std::string message : {"plain", "with \"quotes\"", "two\nlines", "not \xff UTF-8"}) {
    const auto line = Line(LogFormat::kJson, message, "");
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    const auto object = nlohmann::json::parse(line);
    EXPECT_EQ(object.size(), 3U);
    EXPECT_EQ(object["level"], "warning");
    EXPECT_TRUE(
        std::regex_match(object["time"].get<std::string>(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
    if (message.find('\xff') == std::string::npos) {
      EXPECT_EQ(object["message"], message);
    }
  }
}

TEST(Log, NamesTheTraceThatALineBelongsTo) {
  EXPECT_EQ(nlohmann::json::parse(Line(LogFormat::kJson, "refused", kTrace))["trace_id"], kTrace);
  EXPECT_TRUE(
      Line(LogFormat::kText, "refused", kTrace).ends_with(std::string(" warning refused trace_id=") + kTrace + "\n"));
  EXPECT_TRUE(Line(LogFormat::kText, "refused", "").ends_with(" warning refused\n"));
}

TEST(Log, ATraceEndsWhereItsCallDoes) {
  {
    const LogTrace outer("outer");
    {
      const LogTrace inner(kTrace);
    }
    EXPECT_EQ(nlohmann::json::parse(Line(LogFormat::kJson, "x", "outer"))["trace_id"], "outer");
  }
  EXPECT_FALSE(nlohmann::json::parse(Line(LogFormat::kJson, "x", "")).contains("trace_id"));
}

}  // namespace
}  // namespace assertion
