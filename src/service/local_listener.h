#pragma once

#include <grpcpp/server.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "service/connections.h"
#include "service/local_socket.h"

namespace assertion::service {

// A Unix domain socket that accepts for a gRPC server, because gRPC does not report the user of the peer process
// (SO_PEERCRED).
//
// UserOf asks the kernel at each call. gRPC names the peer of a connection that it got as a descriptor by the number of
// the descriptor, "fd:17". It names no other peer so, and the name holds nothing that a caller sends. The number cannot
// refer to another connection: a call holds its HTTP/2 stream, the stream holds the transport, and the transport closes
// the descriptor when it is destroyed (gRPC 1.51: ~grpc_chttp2_stream unrefs the transport, ~grpc_chttp2_transport
// destroys the endpoint, tcp_free closes). As long as the context of the call may be used, the number is that of the
// caller's own socket, even if the connection has ended. No table of users exists that could fill up or be mixed up.
class LocalListener {
 public:
  // The user of a call's peer, named as gRPC does; empty when the call did not come through a LocalListener. Valid only
  // while the call lives.
  static std::optional<uid_t> UserOf(const std::string& peer);

  // Makes the socket with mode 0660 and, if given, `group`. Nobody can connect before Start. kAddressUnusable: another
  // server uses it, or permissions of its folder or one above let others replace it (CheckTrustedFolder).
  static Result<std::unique_ptr<LocalListener>> Bind(const std::string& path, std::optional<gid_t> group);

  // Stops.
  ~LocalListener() { Stop(); }
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  // Call it when the server runs, which must live until Stop. `listed` says whether the configuration lists a peer, for
  // example "uid:1000". kAddressUnusable.
  Status Start(grpc::Server& server, ConnectionLimits limits, std::function<bool(const std::string&)> listed);

  // Null before Start.
  Connections* connections() { return connections_.get(); }

  // Accepts no more connections and removes the socket.
  void Stop();

 private:
  explicit LocalListener(std::unique_ptr<LocalSocket> socket) : socket_(std::move(socket)) {}

  const std::unique_ptr<LocalSocket> socket_;
  std::unique_ptr<Connections> connections_;
};

}  // namespace assertion::service
