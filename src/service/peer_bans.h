#pragma once

#include <chrono>
#include <map>
#include <string>

namespace assertion::service {

// Peers that cost too much and are refused for a time: 10 s, twice as long each next time, at most 5 min. Not
// thread-safe.
class PeerBans {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Returns for how long.
  std::chrono::seconds Ban(const std::string& peer, Instant now);

  bool IsBanned(const std::string& peer, Instant now) const;

 private:
  struct Entry {
    Instant until;
    std::chrono::seconds length{0};
  };

  std::map<std::string, Entry, std::less<>> bans_;
};

}  // namespace assertion::service
