#include "observe/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/mutex.h"
#include "assertion/utf8.h"

namespace assertion {
namespace {

thread_local std::string_view current_trace;

// Adds " trace_id=…" to the end of a text line.
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

// True if a terminal may interpret the character as a command: C0, DEL, and C1 in UTF-8 (U+0080 to U+009F).
bool IsControl(std::string_view character) {
  constexpr auto kDelete = '\x7f';
  if (character.size() == 1) {
    return static_cast<unsigned char>(character.front()) < ' ' || character.front() == kDelete;
  }
  return character.size() == 2 && character[0] == '\xc2' && static_cast<unsigned char>(character[1]) < 0xA0;
}

// The text format. Control characters and octets that are not UTF-8 become \xNN, so that foreign text can neither begin
// a line of its own nor control the terminal.
class TextFormatter final : public spdlog::formatter {
 public:
  TextFormatter() { pattern_.add_flag<TraceFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v%*"); }

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    spdlog::memory_buf_t raw;
    pattern_.format(message, raw);
    for (std::string_view rest(raw.data(), raw.size()); !rest.empty();) {
      const auto octets = OctetsOfCharacter(rest);
      const auto character = rest.substr(0, std::max<std::size_t>(octets, 1));
      rest.remove_prefix(character.size());
      if (octets == 0 || IsControl(character)) {
        for (const auto octet : character) {
          fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<unsigned char>(octet));
        }
      } else {
        line.append(character.data(), character.data() + character.size());
      }
    }
    line.push_back('\n');
  }
  std::unique_ptr<formatter> clone() const override { return std::make_unique<TextFormatter>(); }

 private:
  spdlog::pattern_formatter pattern_{spdlog::pattern_time_type::utc, ""};
};

// Reads current_trace, because the loggers are synchronous: the thread that logs a line formats it.
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
    // Octets that are not UTF-8 are replaced: an HSM may return any text.
    const auto json = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    line.append(json.data(), json.data() + json.size());
  }
  std::unique_ptr<formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

 private:
  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%eZ", spdlog::pattern_time_type::utc, ""};
};

}  // namespace

class SparingLog::Kind {
 public:
  // False: the line is only counted; `first` says whether it is the first counted line.
  bool MayWrite(spdlog::level::level_enum level, std::string_view line, bool& first) {
    const MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (counted_ == 0 && now - began_ >= std::chrono::seconds(1)) {
      began_ = now;
      written_ = 0;
    }
    if (written_ < kMostPerSecond) {
      ++written_;
      return true;
    }
    first = counted_++ == 0;
    if (first) {
      level_ = level;
      example_ = line;
    }
    return false;
  }

  // Also begins a new second.
  void WriteCount() {
    auto level = spdlog::level::warn;
    std::string line;
    {
      const MutexLock lock(mutex_);
      level = level_;
      line = "… and " + std::to_string(std::exchange(counted_, 0)) + " more like: " + example_;
      began_ = std::chrono::steady_clock::now();
      written_ = 0;
    }
    spdlog::log(level, "{}", line);
  }

 private:
  Mutex mutex_;
  std::chrono::steady_clock::time_point began_ GUARDED_BY(mutex_);
  std::size_t written_ GUARDED_BY(mutex_) = 0;
  std::size_t counted_ GUARDED_BY(mutex_) = 0;
  spdlog::level::level_enum level_ GUARDED_BY(mutex_) = spdlog::level::warn;  // of the first line that was counted
  std::string example_ GUARDED_BY(mutex_);
};

// The thread that writes the counts, a second after the first line that was only counted.
class SparingLog::Counting {
 public:
  static Counting& Instance() {
    static Counting counting;
    return counting;
  }

  void Add(std::shared_ptr<Kind> kind) {
    const MutexLock lock(mutex_);
    kinds_.push_back(std::move(kind));
    filled_.notify_one();
  }

 private:
  void Work(const std::stop_token& stop) {
    MutexLock lock(mutex_);
    while (filled_.wait(lock, stop, [this]() REQUIRES(mutex_) { return !kinds_.empty(); })) {
      filled_.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
      const auto kinds = std::exchange(kinds_, {});
      lock.unlock();
      for (const auto& kind : kinds) {
        kind->WriteCount();
      }
      lock.lock();
    }
  }

  Mutex mutex_;
  std::condition_variable_any filled_;
  std::vector<std::shared_ptr<Kind>> kinds_ GUARDED_BY(mutex_);
  std::jthread thread_{[this](const std::stop_token& stop) { Work(stop); }};
};

SparingLog::SparingLog() : kind_(std::make_shared<Kind>()) {}

void SparingLog::Write(spdlog::level::level_enum level, std::string_view line) {
  line = line.substr(0, kLongest);
  bool first = false;
  if (kind_->MayWrite(level, line, first)) {
    spdlog::log(level, "{}", line);
  } else if (first) {
    Counting::Instance().Add(kind_);
  }
}

LogTrace::LogTrace(std::string_view trace_id) : before_(std::exchange(current_trace, trace_id)) {}

LogTrace::~LogTrace() { current_trace = before_; }

LogFormat DefaultLogFormat() { return isatty(STDERR_FILENO) == 1 ? LogFormat::kText : LogFormat::kJson; }

std::unique_ptr<spdlog::formatter> LogFormatter(LogFormat format) {
  if (format == LogFormat::kJson) {
    return std::make_unique<JsonFormatter>();
  }
  return std::make_unique<TextFormatter>();
}

void StartLog(LogFormat format) {
  auto log = spdlog::stderr_logger_mt("assertiond");
  log->set_formatter(LogFormatter(format));
  log->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(log));
}

}  // namespace assertion
