#pragma once

#include <grpcpp/server.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "service/connections.h"

namespace assertion::service {

// A Unix domain socket that accepts for a gRPC server, because gRPC does not tell whose process is at the other end
// (SO_PEERCRED).
//
// UserOf asks the kernel at each call. gRPC calls the peer of a connection that it was given as a descriptor by that
// descriptor's number, "fd:17", and no other peer by such a name; no octet that a caller sends goes into it. The number
// cannot mean another connection: a call holds its HTTP/2 stream, the stream holds the transport, and the transport
// closes the descriptor when it is destroyed (gRPC 1.51: ~grpc_chttp2_stream unrefs the transport,
// ~grpc_chttp2_transport destroys the endpoint, tcp_free closes). As long as the call's context may be used, the number
// is that of the caller's own socket, whatever happened to the connection. There are no places for users that could be
// used up, and nothing to be given from one user to the next.
class LocalListener {
 public:
  // What the kernel calls a user whom this process's user namespace does not map.
  static uid_t OverflowUser();

  // Of a call's peer, as gRPC calls it; none when it did not come through a LocalListener. Only while the call lives.
  static std::optional<uid_t> UserOf(const std::string& peer);

  // Makes the socket, mode 0660, of group `group` if it is given. Nobody can connect before Start. kAddressUnusable
  // when another server holds it, or its folder, or one above, lets others replace it (CheckTrustedFolder).
  static Result<std::unique_ptr<LocalListener>> Bind(const std::string& path, std::optional<gid_t> group);

  // Stops.
  ~LocalListener();
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  // Once the server runs, which must outlive Stop. `listed` tells whether the configuration lists "uid:1000".
  // kAddressUnusable.
  Status Start(grpc::Server& server, ConnectionLimits limits, std::function<bool(const std::string&)> listed);

  // Null before Start and after Stop.
  Connections* connections() { return connections_.get(); }

  // Accepts no more connections and removes the socket.
  void Stop();

 private:
  explicit LocalListener(std::string path) : path_(std::move(path)) {}

  Status Open(std::optional<gid_t> group);

  const std::string path_;
  int lock_ = -1;
  int socket_ = -1;
  std::unique_ptr<Connections> connections_;
};

}  // namespace assertion::service
