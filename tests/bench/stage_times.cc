#include "bench/stage_times.h"

#include <httplib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace assertion::bench {
namespace {

// In the order in which a call goes through them.
constexpr std::array<std::pair<const char*, const char*>, 4> kStages = {{
    {"assertiond_queue_duration_seconds", "waits for a session"},
    {"assertiond_hsm_duration_seconds", "the token signs"},
    {"assertiond_audit_duration_seconds", "waits for the audit log"},
    {"assertiond_assertion_duration_seconds", "in the server"},
}};
constexpr double kMilliseconds = 1e3;

// What the text has between these two; empty: it has not both.
std::string_view Between(std::string_view text, std::string_view from, std::string_view to) {
  const auto begin = text.find(from);
  const auto end = begin == std::string_view::npos ? begin : text.find(to, begin + from.size());
  return end == std::string_view::npos ? "" : text.substr(begin + from.size(), end - begin - from.size());
}

template <typename... Arguments>
std::string Text(const char* format, Arguments... arguments) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, arguments...);
  return text.data();
}

}  // namespace

StageTimes StageTimes::Read(const std::string& address) {
  httplib::Client client("http://" + address);
  const auto answer = client.Get("/metrics");
  if (!answer || answer->status != 200) {
    throw std::runtime_error("--gaps: " + address + " does not answer GET /metrics");
  }
  StageTimes times;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    times.Count(line);
  }
  if (times.empty()) {
    throw std::runtime_error("--gaps: " + address + " is not assertiond");
  }
  return times;
}

void StageTimes::Count(const std::string& line) {
  for (const auto& [name, title] : kStages) {
    if (!line.starts_with(name) || line.contains("result=\"refused\"")) {
      continue;
    }
    const auto rest = std::string_view(line).substr(std::string_view(name).size());
    const auto value = std::strtod(line.c_str() + line.rfind(' '), nullptr);
    if (rest.starts_with("_bucket")) {
      const auto bound = std::strtod(std::string(Between(rest, "le=\"", "\"")).c_str(), nullptr);  // "+Inf", too
      stages_[name].up_to[bound * kMilliseconds] += value;
    } else if (rest.starts_with("_sum")) {
      stages_[name].sum_ms += value * kMilliseconds;
    }
  }
}

void StageTimes::Add(const StageTimes& other) {
  for (const auto& [name, stage] : other.stages_) {
    auto& own = stages_[name];
    own.sum_ms += stage.sum_ms;
    for (const auto& [bound, count] : stage.up_to) {
      own.up_to[bound] += count;
    }
  }
}

void StageTimes::Subtract(const StageTimes& other) {
  for (const auto& [name, stage] : other.stages_) {
    auto& own = stages_[name];
    own.sum_ms -= stage.sum_ms;
    for (const auto& [bound, count] : stage.up_to) {
      own.up_to[bound] -= count;
    }
  }
}

std::string StageTimes::Table(const std::vector<double>& milliseconds) const {
  std::vector<std::pair<std::string, Stage>> rows;
  for (const auto& [name, title] : kStages) {
    if (const auto found = stages_.find(name); found != stages_.end()) {
      rows.emplace_back(title, found->second);
    }
  }
  Stage seen;
  for (const auto& [bound, count] : rows.front().second.up_to) {
    seen.up_to[bound] =
        static_cast<double>(std::ranges::count_if(milliseconds, [&](double ms) { return ms <= bound; }));
  }
  for (const auto ms : milliseconds) {
    seen.sum_ms += ms;
  }
  rows.emplace_back("as the caller sees it", seen);
  double longest = 0;  // the bound of the last column
  for (const auto& [title, stage] : rows) {
    const auto all = stage.up_to.rbegin()->second;
    longest = std::max(longest, std::ranges::find(stage.up_to, all, &std::pair<const double, double>::second)->first);
  }
  std::string table = Text("%-24s%9s", "% of the calls, by ms", "mean ms");
  for (const auto& [bound, count] : seen.up_to) {
    table += bound <= longest ? Text("%8s", Text("<=%g", bound).c_str()) : "";
  }
  for (const auto& [title, stage] : rows) {
    const auto calls = stage.up_to.rbegin()->second;
    table += Text("\n%-24s%9.3f", title.c_str(), calls > 0 ? stage.sum_ms / calls : 0);
    double before = 0;
    for (const auto& [bound, count] : stage.up_to) {
      if (bound <= longest) {
        table += count > before ? Text("%8.2f", 100 * (count - before) / calls) : Text("%8s", ".");
      }
      before = count;
    }
  }
  return table + "\n";
}

}  // namespace assertion::bench
