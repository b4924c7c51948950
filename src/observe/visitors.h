#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace assertion {

// The open connections of a listener: a limited number, shared fairly among sources. A newcomer may replace another
// visitor. The ones that go first are those of sources that the configuration does not list, idle ones before those
// that are being answered; then idle ones of listed sources, for a listed newcomer or one of the same source. A visitor
// of a listed source that is being answered is replaced only when all are such, for a listed newcomer whose source has
// fewer.
class Visitors {
 public:
  struct Limits {
    std::size_t total = 1;
    std::size_t per_source = 1;
  };

  using Number = std::uint64_t;  // identifies a visitor; older ones have lower numbers

  struct Added {
    std::optional<Number> number;    // none: there is no room, close the newcomer
    std::optional<Number> replaced;  // was removed to make room; close it
  };

  explicit Visitors(Limits limits) : limits_(limits) {}

  // Adds a visitor, `listed` if the configuration lists its source. If its source has per_source already, it replaces
  // the oldest of that source. If there are `total`, it replaces the oldest of the sources with most, or of its own
  // source when that has as many.
  Added Add(const std::string& source, bool listed = false);

  // Nothing happens to a number that was replaced.
  void SetAnswering(Number number, bool answering);
  void Remove(Number number);

  std::size_t size() const { return visitors_.size(); }

 private:
  struct Visitor {
    std::string source;
    bool listed;
    bool answering = false;

    // The lowest goes first.
    int rank() const { return (listed ? 2 : 0) + (answering ? 1 : 0); }
  };

  std::size_t CountOf(const std::string& source) const;
  std::optional<Number> ReplaceableOf(const std::string& source) const;
  std::optional<Number> ReplaceableFor(const std::string& newcomer, bool listed) const;

  const Limits limits_;
  Number last_ = 0;
  std::map<Number, Visitor> visitors_;
  std::map<std::string, std::size_t> sources_;  // number of visitors by source
};

}  // namespace assertion
