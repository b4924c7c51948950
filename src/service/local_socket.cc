#include "service/local_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "keys/trusted_folder.h"
#include "x509/lock_holder.h"

namespace assertion::service {
namespace {

std::unexpected<Error> UnusableSocket(const std::string& path, const std::string& why) {
  return Fail(Code::kAddressUnusable, "cannot listen on unix:" + path + ": " + why);
}

bool IsMissing(const Status& trusted) { return !trusted && trusted.error().code == Code::kNotFound; }

// A volume of Kubernetes is everybody's, so the socket needs a folder in it that nobody else has made yet.
Status CheckFolder(const std::string& socket_path) {
  const auto folder = socket_path.substr(0, socket_path.rfind('/') + 1);
  auto trusted = CheckTrustedFolder(folder);
  if (IsMissing(trusted)) {
    const auto before = umask(022);
    mkdir(folder.c_str(), 0755);
    umask(before);
    trusted = CheckTrustedFolder(folder);  // another user may have made it first
  }
  if (!trusted) {
    return UnusableSocket(socket_path,
                          trusted.error().message + (IsMissing(trusted) ? "; make it: mkdir -p -m 755 " + folder : ""));
  }
  struct stat info{};
  if (lstat(socket_path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    return UnusableSocket(socket_path, "something else than a socket is there");
  }
  return {};
}

void Close(int& fd) {
  if (fd >= 0) {
    close(std::exchange(fd, -1));
  }
}

}  // namespace

uid_t OverflowUser() {
  static const uid_t user = [] {
    constexpr uid_t kUsual = 65534;
    std::ifstream file("/proc/sys/kernel/overflowuid");
    uid_t told = kUsual;
    return file >> told ? told : kUsual;
  }();
  return user;
}

std::optional<uid_t> PeerUser(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid == static_cast<uid_t>(-1)) {
    return std::nullopt;
  }
  return peer.uid;
}

Result<std::unique_ptr<LocalSocket>> LocalSocket::Bind(const std::string& path, std::optional<gid_t> group) {
  RETURN_IF_ERROR(CheckFolder(path));
  std::unique_ptr<LocalSocket> socket(new LocalSocket(path));
  RETURN_IF_ERROR(socket->Open(group));
  return socket;
}

// A lock shows whether a server is running: one that was killed leaves the socket's name behind.
Status LocalSocket::Open(std::optional<gid_t> group) {
  const auto lock_path = path_ + ".lock";
  lock_ = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0) {
    return UnusableSocket(path_, lock_path + ": " + std::strerror(errno));
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return UnusableSocket(path_, "another server is listening there: " + x509::HolderOfLock(lock_));
  }
  unlink(path_.c_str());
  socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  // umask sets the mode at once; with a later chmod others could open the socket in between.
  const auto before = umask(0117);
  const bool bound = socket_ >= 0 && bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error = errno;
  umask(before);
  if (!bound) {
    return UnusableSocket(path_, std::strerror(error));
  }
  return group ? GiveTo(*group) : Status();
}

Status LocalSocket::GiveTo(gid_t group) {
  // deploy/systemd/assertiond.service refuses every chown, also one that changes nothing.
  if (struct stat info{}; lstat(path_.c_str(), &info) == 0 && info.st_gid == group) {
    return {};
  }
  if (chown(path_.c_str(), static_cast<uid_t>(-1), group) == 0) {
    return {};
  }
  const int error = errno;
  return UnusableSocket(path_, std::string("chown to the configured group: ") + std::strerror(error) +
                                   (error == EPERM ? "; the server must be in that group, and under systemd a drop-in "
                                                     "needs SupplementaryGroups= and SystemCallFilter=@chown"
                                                   : ""));
}

LocalSocket::~LocalSocket() {
  Remove();
  Close(lock_);
}

Status LocalSocket::Listen() {
  if (listen(socket_, SOMAXCONN) != 0) {
    return UnusableSocket(path_, std::string("listen: ") + std::strerror(errno));
  }
  return {};
}

void LocalSocket::Remove() {
  if (socket_ >= 0) {
    unlink(path_.c_str());
    Close(socket_);
  }
}

}  // namespace assertion::service
