#pragma once

#include <grpcpp/server_builder.h>
#include <sys/types.h>

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "assertion/error.h"

namespace assertion::service {

// What the kernel says of who connects is kept in the connection's AuthContext under this name: "uid:1000".
inline constexpr const char* kLocalIdentity = "assertiond_local_identity";

// A Unix domain socket that accepts for a gRPC server, because gRPC does not tell whose process is at the other end
// (SO_PEERCRED). Each user's connections go to an acceptor of their own, whose credentials mark the calls.
class LocalListener {
 public:
  // Makes the socket, mode 0660, of group `group` if it is given. Nobody can connect before Start. kAddressUnusable
  // when another server holds it, or its folder, or one above, lets others replace it (CheckTrustedFolder).
  static Result<std::unique_ptr<LocalListener>> Bind(const std::string& path, std::optional<gid_t> group);

  // Stops.
  ~LocalListener();
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  // Before the server is built.
  void AddTo(grpc::ServerBuilder& builder);

  // Once the server runs. kAddressUnusable.
  Status Start();

  // Accepts no more connections and removes the socket.
  void Stop();

 private:
  // Users at once; gRPC wants to know all acceptors before it starts.
  static constexpr std::size_t kMostUsers = 64;

  class Marker;
  struct Slot {
    std::shared_ptr<Marker> marker;
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::optional<uid_t> user;
  };

  explicit LocalListener(std::string path) : path_(std::move(path)) {}

  Status Open(std::optional<gid_t> group);
  void Accept();
  void Hand(int connection);
  Slot* SlotOf(uid_t user);

  const std::string path_;
  int lock_ = -1;
  int socket_ = -1;
  int stop_ = -1;  // an eventfd
  std::array<Slot, kMostUsers> slots_;
  std::jthread thread_;
};

}  // namespace assertion::service
