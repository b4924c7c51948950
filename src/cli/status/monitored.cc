#include "cli/status/monitored.h"

#include <algorithm>
#include <chrono>
#include <sstream>

namespace assertion::cli {
namespace {

constexpr int kOkStatus = 200;
constexpr int kUnavailableStatus = 503;
constexpr std::chrono::seconds kMonitorLimit{5};

Result<oauth::HttpAnswer> GetFrom(const std::string& origin, const std::string& ca_file, const char* path) {
  auto answer = oauth::Exchange(origin, ca_file, {.path = path, .limit = kMonitorLimit});
  if (answer && answer->status != kOkStatus && answer->status != kUnavailableStatus) {
    return Fail(Code::kInvalidArgument,
                origin + path + " answers with status " + std::to_string(answer->status) +
                    ": --monitor must name the server's admin_listen, or http_listen if there is none");
  }
  return answer;
}

std::string LabelOf(const MetricSample& sample, const char* name) {
  const auto found = sample.labels.find(name);
  return found == sample.labels.end() ? std::string() : found->second;
}

}  // namespace

std::set<std::string> LostHsms(const Monitored& monitored) {
  std::set<std::string> lost;
  for (const auto& hsm : monitored.hsms) {
    if (!hsm.usable) {
      lost.insert(hsm.label);
    }
  }
  return lost;
}

std::vector<std::string> ReadinessLines(const std::string& body) {
  std::vector<std::string> lines;
  std::istringstream text(body);
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line != "ready") {
      lines.push_back(line);
    }
  }
  return lines;
}

std::vector<TlsEnd> TlsEnds(const std::vector<MetricSample>& samples) {
  std::vector<TlsEnd> ends;
  for (const auto& sample : samples) {
    if (sample.name == "assertiond_tls_certificate_not_after_seconds") {
      ends.push_back({.file = LabelOf(sample, "file"), .end = Time(std::chrono::seconds(WholeNumber(sample.value)))});
    }
  }
  return ends;
}

Result<Monitored> AskMonitor(const std::string& origin, const std::string& ca_file) {
  ASSIGN_OR_RETURN(const auto readiness, GetFrom(origin, ca_file, "/readyz"));
  ASSIGN_OR_RETURN(const auto metrics, GetFrom(origin, ca_file, "/metrics"));
  Monitored monitored{.ready = readiness.status == kOkStatus, .reasons = ReadinessLines(readiness.body), .hsms = {}};
  const auto samples = ParseMetrics(metrics.body);
  monitored.tls_ends = TlsEnds(samples);
  for (const auto& [label, figures] : HsmsOf(samples)) {
    const auto value = [&](const char* name) { return WholeNumber(figures.Find(name).value_or(0)); };
    monitored.hsms.push_back({.label = label,
                              .usable = value("assertiond_token_usable") != 0,
                              .waiting = value("assertiond_queue_jobs"),
                              .capacity = value("assertiond_queue_capacity_jobs"),
                              .busy = value("assertiond_sessions_busy"),
                              .open = value("assertiond_sessions_open"),
                              .failures = value("assertiond_hsm_failures_total")});
  }
  return monitored;
}

}  // namespace assertion::cli
