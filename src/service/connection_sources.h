#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace assertion::service {

// How many connections each source has open, and which source loses one to a newcomer: the one with most of them, and
// sources that the configuration does not list before those that it lists. Not thread-safe.
class ConnectionSources {
 public:
  using Greed = std::pair<bool, std::size_t>;  // not listed; connections

  std::size_t total() const { return total_; }

  std::size_t CountOf(const std::string& source) const;

  // The source tries to open a connection.
  void Try(const std::string& source);

  // A connection of the source opens, `listed` if the configuration lists it now; or one ends.
  void Add(const std::string& source, bool listed);
  void Remove(const std::string& source);

  // The greed of the greediest source. None: one more connection would make `newcomer` as greedy, and only take the
  // place of the other.
  std::optional<Greed> GreedierThan(const std::string& newcomer, bool listed) const;

  // How often the source has tried since it last had no connection, if it is as greedy as that; else 0.
  std::size_t TriesOf(const std::string& source, const Greed& greed) const;

 private:
  struct Source {
    std::size_t count = 0;
    std::size_t tried = 0;
    bool listed = false;  // as it was when the last connection came

    Greed greed() const { return {!listed, count}; }
  };

  std::map<std::string, Source> sources_;
  std::size_t total_ = 0;
};

}  // namespace assertion::service
