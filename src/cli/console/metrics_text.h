#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
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

// The sum of all samples of that name; nothing: there is none.
std::optional<double> SumOf(const std::vector<MetricSample>& samples, std::string_view name);

// What the samples with one value of the label "hsm" say.
class HsmFigures {
 public:
  void Add(const MetricSample& sample);

  // The sum of the samples of that name; nothing: there is none.
  std::optional<double> Find(std::string_view name) const;

 private:
  std::map<std::string, double, std::less<>> sums_;  // by name
};

// The nearest whole number, between -2^53 and 2^53: what a double counts exactly.
std::int64_t WholeNumber(double value);

// By label, the tokens that the server uses, or used. Reads the samples once: a foreign listener may send many.
std::map<std::string, HsmFigures> HsmsOf(const std::vector<MetricSample>& samples);

}  // namespace assertion::cli
