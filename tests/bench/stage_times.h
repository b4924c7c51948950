#pragma once

#include <map>
#include <string>
#include <vector>

namespace assertion::bench {

// How long the calls were in each stage of the server, as its /metrics counts it.
class StageTimes {
 public:
  // `address`: HOST:PORT of the server's HTTP listener. Throws when it does not tell.
  static StageTimes Read(const std::string& address);

  void Add(const StageTimes& other);
  void Subtract(const StageTimes& other);

  bool empty() const { return stages_.empty(); }

  // A histogram for each stage, and for the calls as their caller saw them.
  std::string Table(const std::vector<double>& milliseconds) const;

 private:
  struct Stage {
    std::map<double, double> up_to;  // by upper bound in ms: how many took no longer
    double sum_ms = 0;
  };

  void Count(const std::string& line);

  std::map<std::string, Stage> stages_;  // by name of the metric
};

}  // namespace assertion::bench
