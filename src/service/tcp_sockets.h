#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assertion/descriptor.h"
#include "assertion/error.h"
#include "service/connections.h"

namespace assertion::service {

// Listening TCP sockets on one port: one, or one per address of a host name.
class TcpSockets {
 public:
  // The peer of an accepted socket, named as gRPC does (grpc::ServerContext::peer), for example "ipv4:192.0.2.1:5000",
  // and counted by its address; IPv6 by its /64, because one machine may own all of it. Empty when the peer is gone.
  static std::optional<Connections::Origin> OriginOf(int fd);

  // `address` is HOST:PORT, an IPv6 address in brackets. With port 0 the system chooses one. 0.0.0.0 and :: mean every
  // address of both families. Listens when it returns: connections wait. kAddressUnusable, also when another process
  // listens there.
  static Result<TcpSockets> Listen(const std::string& address);

  int port() const { return port_; }
  std::vector<int> descriptors() const;

 private:
  std::vector<Descriptor> sockets_;
  int port_ = 0;
};

}  // namespace assertion::service
