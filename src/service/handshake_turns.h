#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace assertion::service {

// Which connection begins its handshake next. A handshake costs a signature of the HSM before the peer is known, so
// there are `limit` at once and an eighth of them for one source. The source with fewest handshakes under way comes
// first, and of its connections the one that greeted first.
//
// A handshake keeps its place until a call on the connection shows that it is over, or for kHandshakeLimit; one that
// ends before a call keeps it for kFailureLimit, so that failing fast gains nothing. Not thread-safe.
class HandshakeTurns {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::milliseconds kHandshakeLimit{2000};  // from the moment gRPC gets the connection
  static constexpr std::chrono::milliseconds kFailureLimit{250};
  static constexpr std::chrono::milliseconds kTurnLimit{8000};  // longest wait for a turn, from the accept

  static constexpr std::chrono::minutes kTellingInterval{1};
  static constexpr std::size_t kMostTold = 1000;  // sources within it

  explicit HandshakeTurns(std::size_t limit) : limit_(limit) {}

  // The connection `fd`, accepted at `since` from the source `counted`, waits for its turn.
  void Wait(int fd, std::string counted, Instant since);

  // It waits no longer.
  void Leave(int fd);

  bool IsAnyWaiting() const { return !waiting_.empty(); }

  // The connection that greeted first, if it has waited for kTurnLimit.
  std::optional<int> Overdue(Instant now) const;

  // The connection whose turn it is, if there is a free place. It waits no longer.
  std::optional<int> Next();

  void Begin(std::string peer, std::string counted, Instant now);

  // A connection of the peer has ended: its handshake keeps its place for kFailureLimit at most. True: the log
  // should tell it, because it was under way and none of its source was told for kTellingInterval.
  bool Fail(const std::string& peer, Instant now);

  // The peer has called: its handshake gives up its place.
  void Complete(const std::string& peer);

  // Handshakes that have had their time give up their places.
  void Expire(Instant now);

 private:
  struct Waiting {
    int fd;
    std::string counted;
    Instant since;
  };

  // A place that a handshake takes; it may outlast its connection.
  struct Handshake {
    std::string peer;
    std::string counted;
    Instant until;
  };

  const std::size_t limit_;
  std::vector<Waiting> waiting_;  // in the order in which they greeted
  std::vector<Handshake> under_way_;
  std::map<std::string, Instant> told_;  // when a failure of the source was last told
};

}  // namespace assertion::service
