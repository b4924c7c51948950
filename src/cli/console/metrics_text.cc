#include "cli/console/metrics_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace assertion::cli {
namespace {

// Takes a label's value up to its quotation mark off `text`. Nothing if there is no end.
std::optional<std::string> TakeQuoted(std::string_view& text) {
  std::string value;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '"') {
      return value;
    }
    if (c != '\\') {
      value += c;
    } else if (!text.empty()) {
      value += text.front() == 'n' ? '\n' : text.front();
      text.remove_prefix(1);
    }
  }
  return std::nullopt;
}

// Takes {name="value",…} off `text`.
bool TakeLabels(std::string_view& text, std::map<std::string, std::string>& labels) {
  if (!text.starts_with('{')) {
    return true;
  }
  text.remove_prefix(1);
  while (!text.starts_with('}')) {
    const auto equals = text.find("=\"");
    if (equals == std::string_view::npos) {
      return false;
    }
    const std::string name(text.substr(0, equals));
    text.remove_prefix(equals + 2);
    auto value = TakeQuoted(text);
    if (!value) {
      return false;
    }
    labels[name] = *std::move(value);
    text.remove_prefix(text.starts_with(',') ? 1 : 0);
  }
  text.remove_prefix(1);
  return true;
}

std::optional<MetricSample> ParseSample(std::string_view line) {
  const auto name_end = line.find_first_of("{ ");
  if (line.starts_with('#') || name_end == std::string_view::npos) {
    return std::nullopt;
  }
  MetricSample sample{.name = std::string(line.substr(0, name_end)), .labels = {}, .value = 0};
  line.remove_prefix(name_end);
  if (!TakeLabels(line, sample.labels)) {
    return std::nullopt;
  }
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto read = std::from_chars(line.data(), line.data() + line.size(), sample.value);
  return read.ec == std::errc() && std::isfinite(sample.value) ? std::optional(sample) : std::nullopt;
}

}  // namespace

std::vector<MetricSample> ParseMetrics(std::string_view text) {
  std::vector<MetricSample> samples;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (auto sample = ParseSample(line)) {
      samples.push_back(*std::move(sample));
    }
  }
  return samples;
}

std::optional<double> SumOf(const std::vector<MetricSample>& samples, std::string_view name) {
  std::optional<double> sum;
  for (const auto& sample : samples) {
    if (sample.name == name) {
      sum = sum.value_or(0) + sample.value;
    }
  }
  return sum;
}

void HsmFigures::Add(const MetricSample& sample) { sums_[sample.name] += sample.value; }

std::optional<double> HsmFigures::Find(std::string_view name) const {
  const auto found = sums_.find(name);
  return found == sums_.end() ? std::nullopt : std::optional(found->second);
}

std::int64_t WholeNumber(double value) {
  constexpr double kMost = 9'007'199'254'740'992;
  return std::llround(std::clamp(value, -kMost, kMost));
}

std::map<std::string, HsmFigures> HsmsOf(const std::vector<MetricSample>& samples) {
  std::map<std::string, HsmFigures> hsms;
  for (const auto& sample : samples) {
    if (const auto label = sample.labels.find("hsm"); label != sample.labels.end()) {
      hsms[label->second].Add(sample);
    }
  }
  std::erase_if(hsms, [](const auto& hsm) { return !hsm.second.Find("assertiond_token_usable"); });
  return hsms;
}

}  // namespace assertion::cli
