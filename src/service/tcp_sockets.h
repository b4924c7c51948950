#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assertion/descriptor.h"
#include "assertion/error.h"
#include "service/connections.h"

namespace assertion::service {

// Sockets that listen on TCP: one, or several for a name that has several addresses, on the same port.
class TcpSockets {
 public:
  // The peer of an accepted socket: by the name that gRPC has for it (grpc::ServerContext::peer), for example
  // "ipv4:192.0.2.1:5000", and counted by its address; IPv6 by the /64, of which one machine has all. None when the
  // peer has gone.
  static std::optional<Connections::Origin> OriginOf(int fd);

  // HOST:PORT, an IPv6 address in brackets; port 0: one that the system chooses. 0.0.0.0 and :: are every address of
  // both families. Listens when it returns: who connects waits. kAddressUnusable, also when another process listens.
  static Result<TcpSockets> Listen(const std::string& address);

  int port() const { return port_; }
  std::vector<int> descriptors() const;

 private:
  std::vector<Descriptor> sockets_;
  int port_ = 0;
};

}  // namespace assertion::service
