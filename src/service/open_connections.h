#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "assertion/error.h"

namespace assertion::service {

// A connection that somebody opened to this process.
struct OpenConnection {
  std::optional<uid_t> user;  // over the Unix domain socket: whose process is at the other end
  std::string peer;           // over TCP: as grpc::ServerContext::peer() has it, for example "ipv4:127.0.0.1:5000"

  friend bool operator==(const OpenConnection&, const OpenConnection&) = default;
};

// Where connections come in.
struct Listening {
  std::string socket_path;
  int tcp_port = 0;  // 0: none
};

// Looks at each connection that is open there now, and ends those for which `condemned` answers true: their calls are
// cancelled, and the client sees the connection close. gRPC 1.51 neither lists its connections nor ends one, so the
// descriptors of this process are gone through. INTERNAL when they cannot be listed.
Status EndConnections(const Listening& where, const std::function<bool(const OpenConnection&)>& condemned);

}  // namespace assertion::service
