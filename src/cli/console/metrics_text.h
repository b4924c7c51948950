#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace assertion::cli {

// One line of Prometheus' text format.
struct MetricSample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value;
};

// The samples of an answer of /metrics; lines that cannot be read are left out.
std::vector<MetricSample> ParseMetrics(std::string_view text);

// The sum of all samples of that name, of one HSM if `hsm` is not empty; nothing: there is none.
std::optional<double> SumOf(const std::vector<MetricSample>& samples, std::string_view name, const std::string& hsm);

// The nearest whole number, between -2^53 and 2^53: what a double counts exactly.
std::int64_t WholeNumber(double value);

// The labels of the tokens that the server uses, or used.
std::set<std::string> HsmsOf(const std::vector<MetricSample>& samples);

}  // namespace assertion::cli
