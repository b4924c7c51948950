#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "cli/console/metrics_text.h"
#include "oauth/http.h"

namespace assertion::cli {

// Readiness, HSMs, queues and rates, from /readyz and /metrics of the server's probe listener.
class ConditionPart {
 public:
  // Nothing: the operator named no listener, and the page says so.
  ConditionPart(std::optional<oauth::Url> monitor, std::string ca_file)
      : monitor_(std::move(monitor)), ca_file_(std::move(ca_file)) {}

  // Rates count from the view before.
  std::string Html(std::chrono::steady_clock::time_point now);

 private:
  std::string HsmTable(const std::vector<MetricSample>& samples, std::chrono::steady_clock::time_point now);
  // How fast a counter grows.
  std::string RateOf(const std::string& counter, double value, std::chrono::steady_clock::time_point now);

  struct Seen {
    double value;
    std::chrono::steady_clock::time_point when;
  };

  std::optional<oauth::Url> monitor_;
  std::string ca_file_;
  std::map<std::string, Seen> seen_;  // by counter
};

}  // namespace assertion::cli
