#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "policy/rate_limit.h"

namespace assertion::service {

// How many connections there may be.
struct ConnectionLimits {
  std::size_t per_peer = 64;  // 1 to 65536
  std::size_t total = 1024;   // 1 to 65536
  std::size_t acceptors = 1;  // of the process, each with so many: they share its descriptors
  // Unfinished handshakes at once, an eighth of them of one source; 0: a greeting begins none.
  std::size_t handshakes = 0;

  friend bool operator==(const ConnectionLimits&, const ConnectionLimits&) = default;
};

// The connections that come to a server by one way: accepts them, counts them, and knows when each has ended. gRPC does
// not. A connection is handed over once it has greeted as it should: what is silent or speaks anything else costs gRPC
// nothing, and is closed after 2 s.
//
// A connection is two descriptors of one socket: gRPC's, and one of ours. Ours tells that the socket was shut down, by
// the peer or by gRPC, and lets us shut it down without a guess at what gRPC's number means by then. After the end
// gRPC may need its descriptor for a while: it is counted until its number means another file. (Until both are closed
// gRPC's poll may tell of a socket whose record it has given to another: that one reads, finds nothing, and waits on.)
//
// Where a greeting begins a handshake, which costs a signature of the HSM before anybody is known, there are so many at
// once: others wait for their turn, the source with fewest first. A handshake takes its place until a call on the
// connection shows that it is over, or for kHandshakeLimit; one that ends before a call keeps it for kFailureLimit, so
// that failing fast gains nothing.
//
// At the limit in all the newest connection of the peer with most of them goes, for one of a peer with fewer; of peers
// with as many, the one that has tried most often since it last had none. Peers that the configuration does not list
// go before those that it lists, and may open `per_peer` a second, in bursts of
// four times as many. What a connection costs gRPC is not told either; but its descriptor here tells whether octets
// come, or wait to be read. Where a greeting begins no handshake, the connections of a peer that is not listed may be
// so in 10 of 100 slices of 10 ms, in bursts of 50: a peer that takes more loses them, and is refused for 10 s, the
// next time for twice as long, up to 5 min. Behind a handshake an honest peer is not known yet, and its octets may wait
// because the server is busy.
//
// Descriptors below a floor are never taken: they are left to the HSM's module (some of which use
// select(2)), the logs and operators.
class Connections {
 public:
  // Where a connection comes from.
  struct Origin {
    std::string peer;     // by what name it is ended
    std::string counted;  // by what name it is counted: several peers may share it
  };

  // What the octets are that a connection has sent first.
  enum class Greeting { kIncomplete, kKnown, kOther };

  struct Acceptor {
    std::vector<int> sockets;                                // listen; not blocking
    std::function<std::optional<Origin>(int fd)> origin;     // none: it is closed
    std::function<bool(const std::string& counted)> listed;  // whether the configuration lists it
    // Of at most kGreetingOctets; never of none.
    std::function<Greeting(std::string_view said)> greeting;
    std::function<void(int fd)> take;  // takes over a descriptor, and closes it at the connection's end
  };

  static constexpr std::size_t kGreetingOctets = 64;
  static constexpr std::chrono::milliseconds kHandshakeLimit{2000};  // from the greeting's coming to gRPC
  static constexpr std::chrono::milliseconds kFailureLimit{250};
  static constexpr std::chrono::milliseconds kTurnLimit{8000};  // waits for its turn, and is closed

  // How many `total` the process's limit of descriptors leaves room for.
  static std::size_t Fitting(const ConnectionLimits& limits);

  Connections(ConnectionLimits limits, Acceptor acceptor);

  // Stops.
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Begins to accept. kInternal.
  Status Start();

  // Accepts no more. What gRPC has taken goes on.
  void Stop();

  // The peer's handshake is over: it has called. May be called from any thread.
  void Met(const std::string& peer);

  // Asks `condemned` of each connection that is open, and shuts down those for which it answers true: their calls are
  // cancelled. Returns how many those are. Nobody waits for `condemned`.
  std::size_t EndThoseOf(const std::function<bool(const std::string& peer)>& condemned);

 private:
  using Instant = std::chrono::steady_clock::time_point;

  struct Connection {
    Origin origin;
    Instant since;
    std::uint64_t number = 0;  // the newest has the highest
    int taken = -1;            // gRPC's descriptor; -1: it is still ours alone
    bool waits = false;        // for its turn to shake hands
    bool ended = false;        // shut down, and counted no more
    bool watched = false;      // for what it costs
  };

  // Of a peer that cost too much.
  struct Ban {
    Instant until;
    std::chrono::seconds length;
  };

  // A place that a handshake takes, which may outlast its connection.
  struct Handshake {
    Origin origin;
    Instant until;
  };

  struct Source {
    std::size_t count = 0;
    std::size_t tried = 0;  // to open, since it last had none
    bool listed = false;    // as it was when the last connection came
  };

  // A descriptor that gRPC has not closed yet.
  struct Leftover {
    int fd;
    dev_t device;
    ino_t inode;
  };

  void Work();
  int Patience() const;
  void AcceptSome(int socket);
  void Receive(int low);
  void Add(int fd, Origin origin);
  bool MakeRoomFor(const std::string& counted, bool listed);
  Greeting GreetingOf(int fd) const;
  void Examine(int fd, bool peer_closed);
  int Take(int fd, Connection& connection);
  void GiveTurns();
  std::vector<int>::iterator NextTurn();
  void Remove(int fd);
  void End(int fd, Connection& connection);
  void EndTheSilent();
  void Stir(int fd);
  void WatchStirred();
  bool IsWatched(int fd) const;
  std::chrono::seconds BanPeer(const std::string& peer);
  bool IsBanned(const std::string& peer) const;
  void ForgetLeftovers();
  void Watch(bool accepting);

  const ConnectionLimits limits_;
  const Acceptor acceptor_;
  const int floor_;   // the lowest descriptor that a connection takes
  RateLimit coming_;  // new connections of each source that is not listed
  int stop_ = -1;     // an eventfd
  int poll_ = -1;
  bool accepting_ = false;
  Instant pause_until_;
  std::vector<Leftover> leftovers_;
  RateLimit slices_;                            // in which octets come, of each peer that is not listed
  std::map<int, std::uint64_t> stirred_;        // in this slice, with their numbers
  std::set<std::string, std::less<>> charged_;  // for this slice
  Instant slice_end_;
  std::map<std::string, Ban, std::less<>> bans_;

  mutable std::mutex mutex_;
  std::map<int, Connection> connections_;  // by our descriptor
  std::vector<int> greeting_;              // those that gRPC has not taken, in the order in which they came
  std::vector<int> turns_;                 // those that wait for theirs, in the order in which they greeted
  std::vector<Handshake> handshakes_;      // under way
  std::map<std::string, Source> sources_;  // by the name that is counted
  std::size_t counted_ = 0;
  std::uint64_t numbers_ = 0;
  std::jthread thread_;
};

}  // namespace assertion::service
