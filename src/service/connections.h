#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "assertion/error.h"

namespace assertion::service {

// How many connections there may be.
struct ConnectionLimits {
  std::size_t per_peer = 64;  // 1 to 65536
  std::size_t total = 1024;   // 1 to 65536

  friend bool operator==(const ConnectionLimits&, const ConnectionLimits&) = default;
};

// The connections of a server: accepts them, counts them, and knows when each has ended. gRPC does none of that.
//
// A connection is two descriptors of one socket: gRPC's, and one of ours. Ours tells that the socket was shut down, by
// the peer or by gRPC, and lets us shut it down without a guess at what gRPC's number means by then. After the end
// gRPC may need its descriptor for a while: it is counted until its number means another file. (Until both are closed
// gRPC's poll may tell of a socket whose record it has given to another: that one reads, finds nothing, and waits on.)
//
// At the limit in all the newest connection of the peer with most of them goes, for one of a peer with fewer; peers
// that the configuration does not list go before those that it lists. Descriptors below a floor are never taken: they
// are left to the HSM's module (some of which use select(2)), the logs and operators.
class Connections {
 public:
  struct Acceptor {
    int socket;                                           // listens; not blocking
    std::function<std::string(int fd)> peer;              // by what name it is counted; empty: it is closed
    std::function<bool(const std::string& peer)> listed;  // whether the configuration lists it
    std::function<void(int fd)> take;  // takes over a descriptor, and closes it at the connection's end
  };

  // How many `total` the process's limit of descriptors leaves room for.
  static std::size_t Fitting(std::size_t total);

  Connections(ConnectionLimits limits, Acceptor acceptor);

  // Stops.
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Begins to accept. kInternal.
  Status Start();

  // Accepts no more. What gRPC has taken goes on.
  void Stop();

  // Shuts down all connections of the peers that `condemned` names.
  void EndThoseOf(const std::function<bool(const std::string& peer)>& condemned);

 private:
  using Instant = std::chrono::steady_clock::time_point;

  struct Connection {
    std::string peer;
    Instant since;
    std::uint64_t number = 0;  // the newest has the highest
    int taken = -1;            // gRPC's descriptor; -1: it is still ours alone
    bool ended = false;        // shut down, and counted no more
  };

  struct Peer {
    std::size_t count = 0;
    bool listed = false;  // as it was when the last connection came
  };

  // A descriptor that gRPC has not closed yet.
  struct Leftover {
    int fd;
    dev_t device;
    ino_t inode;
  };

  void Work();
  int Patience() const;
  void AcceptOne();
  void Add(int fd, std::string peer);
  bool MakeRoomFor(const std::string& peer, bool listed);
  void Examine(int fd);
  void Remove(int fd);
  void End(int fd, Connection& connection);
  void EndTheSilent();
  void ForgetLeftovers();
  void Watch(bool accepting);

  const ConnectionLimits limits_;
  const Acceptor acceptor_;
  const int floor_;  // the lowest descriptor that a connection takes
  int stop_ = -1;    // an eventfd
  int poll_ = -1;
  bool accepting_ = false;
  Instant pause_until_;
  std::vector<Leftover> leftovers_;

  mutable std::mutex mutex_;
  std::map<int, Connection> connections_;  // by our descriptor
  std::vector<int> greeting_;              // those that gRPC has not taken, in the order in which they came
  std::map<std::string, Peer> peers_;
  std::size_t counted_ = 0;
  std::uint64_t numbers_ = 0;
  std::jthread thread_;
};

}  // namespace assertion::service
