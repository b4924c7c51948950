#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "assertion/error.h"

namespace assertion::service {

// The user of the process at the other end of a Unix domain socket. Empty for a socket of another family, whose peer's
// user the kernel does not know.
std::optional<uid_t> PeerUser(int fd);

// The user that the kernel reports for users that this process's user namespace does not map.
uid_t OverflowUser();

// A Unix domain socket with a name, for one server alone.
class LocalSocket {
 public:
  // Makes the socket with mode 0660 and, if given, `group`; its folder, too, with mode 0755, if only that is missing.
  // Nobody can connect before Listen. kAddressUnusable: another server uses it, or permissions of its folder or one
  // above let others replace it (CheckTrustedFolder).
  static Result<std::unique_ptr<LocalSocket>> Bind(const std::string& path, std::optional<gid_t> group);

  // Removes it.
  ~LocalSocket();
  LocalSocket(const LocalSocket&) = delete;
  LocalSocket& operator=(const LocalSocket&) = delete;

  // kAddressUnusable.
  Status Listen();

  // Not blocking; negative after Remove.
  int descriptor() const { return socket_; }

  // Removes the name and closes the socket: new connections are refused.
  void Remove();

 private:
  explicit LocalSocket(std::string path) : path_(std::move(path)) {}

  Status Open(std::optional<gid_t> group);
  Status GiveTo(gid_t group);

  const std::string path_;
  int lock_ = -1;
  int socket_ = -1;
};

}  // namespace assertion::service
