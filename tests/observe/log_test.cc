#include "observe/log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

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

TEST(Log, AsTextIsOneLineThatSteersNoTerminal) {
  const std::vector<std::pair<std::string, std::string>> shown = {
      {"two\nlines\r\n", "two\\x0alines\\x0d\\x0a"},
      {"\x1b]0;owned\x07 \x7f\t", "\\x1b]0;owned\\x07 \\x7f\\x09"},
      {"C1 \xc2\x9b and \x9b", "C1 \\xc2\\x9b and \\x9b"},
      {"caf\xc3\xa9 \xe2\x80\xa6 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x80\xa6 \xf0\x9f\x98\x80"},
      {"cut \xe2\x80", "cut \\xe2\\x80"},
      {"overlong \xc0\x8a \xe0\x82\x9b, a surrogate \xed\xa0\x80, too large \xf4\x90\x80\x80",
       "overlong \\xc0\\x8a \\xe0\\x82\\x9b, a surrogate \\xed\\xa0\\x80, too large \\xf4\\x90\\x80\\x80"}};
  for (const auto& [message, expected] : shown) {
    const auto line = Line(LogFormat::kText, message, "");
    EXPECT_TRUE(line.ends_with(" warning " + expected + "\n")) << line;
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
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

TEST(Log, WhatOthersCanRepeatIsCounted) {
  const auto lines = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(100);
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", lines));
  spdlog::default_logger()->set_pattern("%v");
  SparingLog log;
  for (int i = 0; i < 1000; ++i) {
    log.Write(spdlog::level::warn, "refused " + std::to_string(i));
  }
  EXPECT_EQ(lines->last_formatted().size(), SparingLog::kMostPerSecond);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (lines->last_formatted().size() == SparingLog::kMostPerSecond && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  log.Write(spdlog::level::warn, "later");
  spdlog::set_default_logger(before);
  EXPECT_EQ(lines->last_formatted(),
            (std::vector<std::string>{"refused 0\n", "refused 1\n", "refused 2\n", "refused 3\n", "refused 4\n",
                                      "… and 995 more like: refused 5\n", "later\n"}));
}

}  // namespace
}  // namespace assertion
