#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace assertion {

// The connections that are open to a listener which everybody may reach: so many and no more, shared fairly among the
// addresses that they come from.
class Visitors {
 public:
  struct Limits {
    std::size_t total = 1;
    std::size_t per_source = 1;
  };

  using Number = std::uint64_t;  // of a visitor; the oldest has the lowest

  struct Admitted {
    Number number;
    std::optional<Number> leaves;  // makes room, and counts no more
  };

  explicit Visitors(Limits limits) : limits_(limits) {}

  // A new one comes. Of a source that has per_source of them its own oldest makes room; when there are `total`, the
  // oldest of the sources that have most, and when the newcomer's has as many, its own oldest.
  Admitted Admit(const std::string& source);

  // One has gone. Forgets a number that made room already.
  void Remove(Number number);

  std::size_t size() const { return visitors_.size(); }

 private:
  Number OldestOf(const std::string& source) const;

  const Limits limits_;
  Number last_ = 0;
  std::map<Number, std::string> visitors_;
  std::map<std::string, std::size_t> sources_;  // how many each has
};

}  // namespace assertion
