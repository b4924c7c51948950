#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace assertion {

// The open connections of a public listener: a limited number, shared fairly among source addresses.
class Visitors {
 public:
  struct Limits {
    std::size_t total = 1;
    std::size_t per_source = 1;
  };

  using Number = std::uint64_t;  // identifies a visitor; older ones have lower numbers

  struct Added {
    Number number;
    std::optional<Number> replaced;  // was removed to make room; close it
  };

  explicit Visitors(Limits limits) : limits_(limits) {}

  // Adds a visitor. If its source has per_source already, it replaces the oldest of that source. If there are `total`,
  // it replaces the oldest of the sources with most, or of its own source when that has as many.
  Added Add(const std::string& source);

  // Does nothing for a number that was replaced.
  void Remove(Number number);

  std::size_t size() const { return visitors_.size(); }

 private:
  Number OldestOf(const std::string& source) const;

  const Limits limits_;
  Number last_ = 0;
  std::map<Number, std::string> visitors_;
  std::map<std::string, std::size_t> sources_;  // number of visitors by source
};

}  // namespace assertion
