#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "policy/rate_limit.h"
#include "service/busy_slices.h"
#include "service/connection_limits.h"
#include "service/connection_sources.h"
#include "service/handshake_turns.h"
#include "service/leftover_descriptors.h"
#include "service/peer_bans.h"
#include "service/poll.h"

namespace assertion::service {

// The connections that come to a server by one way. gRPC tells neither how many connections it has nor when one ends,
// so this class accepts and counts them itself. gRPC gets a connection once it has greeted correctly: a connection that
// is silent or speaks another protocol costs gRPC nothing, and is closed after 2 s.
//
// A connection is two descriptors of one socket: gRPC's, and one of ours. Ours tells that the socket was shut down, by
// the peer or by gRPC, and lets us shut it down without a guess at what gRPC's number means by then. gRPC may keep its
// descriptor for a while after the end: the connection is counted as a leftover until that number means another file.
// (Until both are closed gRPC's poll may report a socket whose record it has given to another connection: that one
// reads, finds nothing, and waits on.)
//
// Where a greeting begins a TLS handshake, connections wait for their turn: see HandshakeTurns.
//
// At the total limit, a new connection replaces the newest connection of the peer with most of them, if the new peer
// has fewer; among peers with as many, the one that has tried most often since it last had none loses one. Peers that
// the configuration does not list go before those that it lists, and may open `per_peer` connections a second, in
// bursts of four times as many. Where a greeting begins no handshake, peers that are not listed are also held to
// BusySlices; a peer that exceeds them loses its connections and is refused for a time (PeerBans). Behind a handshake
// this does not apply: an honest peer is not known yet, and its octets may wait because the server is busy.
class Connections {
 public:
  // Where a connection comes from.
  struct Origin {
    std::string peer;     // the name by which it is ended
    std::string counted;  // the name by which it is counted; several peers may share it
  };

  // The first octets of a connection.
  enum class Greeting { kIncomplete, kKnown, kOther };

  struct Acceptor {
    std::vector<int> sockets;                                   // listen; not blocking
    std::function<std::optional<Origin>(int fd)> origin;        // none: the connection is closed
    std::function<bool(const std::string& counted)> listed;     // whether the configuration lists it
    std::function<Greeting(std::string_view octets)> greeting;  // of 1 to kGreetingOctets
    std::function<void(int fd)> hand_over;  // takes over a descriptor, and closes it at the connection's end
  };

  static constexpr std::size_t kGreetingOctets = 64;
  Connections(ConnectionLimits limits, Acceptor acceptor);

  // Stops.
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Begins to accept. kInternal.
  Status Start();

  // Accepts no more. Connections that gRPC has go on; others are closed.
  void Stop();

  // After Stop: shuts down each open connection that is not `busy`, asked by the name that gRPC has for it.
  void EndIdle(const std::function<bool(const std::string& name)>& busy);

  // The peer has called, so its handshake is over. May be called from any thread.
  void CompleteHandshake(const std::string& peer);

  // Shuts down each open connection for which `condemned` is true: its calls are cancelled. Returns how many those are.
  // `condemned` is called without a lock.
  std::size_t EndThoseOf(const std::function<bool(const std::string& peer)>& condemned);

 private:
  using Instant = std::chrono::steady_clock::time_point;

  struct Connection {
    Origin origin;
    Instant since;
    std::uint64_t number = 0;  // the newest has the highest
    int handed_over = -1;      // gRPC's descriptor; -1: gRPC does not have the connection yet
    bool waits = false;        // for its turn to begin a handshake
    bool ended = false;        // shut down, and no longer counted
    bool watched = false;      // charged to BusySlices
  };

  void Work();
  int Patience() const EXCLUDES(mutex_);
  void SetAccepting(bool accepting);
  void AcceptSome(int socket);
  void CheckOrigin(int low);
  void Add(int fd, Origin origin) EXCLUDES(mutex_);
  void EndThoseThatPeersClosed(const std::string& counted) REQUIRES(mutex_);
  bool MakeRoomFor(const std::string& counted, bool listed) REQUIRES(mutex_);
  Greeting GreetingOf(int fd) const;
  void HandleEvent(int fd, bool peer_closed) EXCLUDES(mutex_);
  int Duplicate(int fd, Connection& connection) REQUIRES(mutex_);
  void GiveTurns() EXCLUDES(mutex_);
  void CloseOverdue(Instant now) REQUIRES(mutex_);
  void End(int fd, Connection& connection) REQUIRES(mutex_);
  void Remove(int fd) EXCLUDES(mutex_);
  void EndSilentOnes() EXCLUDES(mutex_);
  bool IsWatched(int fd) const EXCLUDES(mutex_);
  void ChargeSlice(int fd) EXCLUDES(mutex_);
  void WatchAgain() EXCLUDES(mutex_);

  const ConnectionLimits limits_;
  const Acceptor acceptor_;
  const int floor_;  // the lowest descriptor that a connection takes
  Poll poll_;

  // Used by the thread alone.
  RateLimit coming_;  // new connections of each source that is not listed
  bool accepting_ = false;
  Instant pause_until_;
  LeftoverDescriptors leftovers_;
  BusySlices slices_;  // of peers that are not listed
  PeerBans bans_;

  mutable Mutex mutex_;
  std::map<int, Connection> connections_ GUARDED_BY(mutex_);  // by our descriptor
  std::vector<int> greeting_ GUARDED_BY(mutex_);              // those that gRPC does not have, in order of coming
  HandshakeTurns turns_ GUARDED_BY(mutex_);
  ConnectionSources sources_ GUARDED_BY(mutex_);
  std::uint64_t numbers_ GUARDED_BY(mutex_) = 0;
  std::jthread thread_;
};

}  // namespace assertion::service
