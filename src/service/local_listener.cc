#include "service/local_listener.h"

#include <fcntl.h>
#include <grpcpp/server_posix.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "service/trusted_folder.h"

namespace assertion::service {
namespace {

std::unexpected<Error> Unusable(const std::string& path, const std::string& why) {
  return Fail(Code::kAddressUnusable, "cannot listen on unix:" + path + ": " + why);
}

Status CheckFolder(const std::string& socket_path) {
  const auto folder = socket_path.substr(0, socket_path.rfind('/') + 1);
  if (const auto trusted = CheckTrustedFolder(folder); !trusted) {
    return Unusable(socket_path, trusted.error().message);
  }
  struct stat info{};
  if (lstat(socket_path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    return Unusable(socket_path, "something else than a socket is there");
  }
  return {};
}

// Empty for a socket of another family, whose peer's user the kernel does not know.
std::optional<uid_t> UserAt(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid == static_cast<uid_t>(-1)) {
    return std::nullopt;
  }
  return peer.uid;
}

std::optional<Connections::Origin> OriginOf(int fd) {
  const auto user = UserAt(fd);
  if (!user) {
    return std::nullopt;
  }
  const auto name = "uid:" + std::to_string(*user);
  return Connections::Origin{.peer = name, .counted = name};
}

// RFC 9113 section 3.4: the preface, then a SETTINGS frame. The type is the fourth octet of the frame's header.
Connections::Greeting JudgeHttp2(std::string_view said) {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  constexpr std::size_t kHead = 9;
  constexpr std::size_t kType = kPreface.size() + 3;
  constexpr char kSettings = 4;
  if (!kPreface.starts_with(said.substr(0, kPreface.size())) || (said.size() > kType && said[kType] != kSettings)) {
    return Connections::Greeting::kOther;
  }
  return said.size() >= kPreface.size() + kHead ? Connections::Greeting::kKnown : Connections::Greeting::kIncomplete;
}

void Close(int& fd) {
  if (fd >= 0) {
    close(std::exchange(fd, -1));
  }
}

}  // namespace

uid_t LocalListener::OverflowUser() {
  static const uid_t user = [] {
    constexpr uid_t kUsual = 65534;
    std::ifstream file("/proc/sys/kernel/overflowuid");
    uid_t told = kUsual;
    return file >> told ? told : kUsual;
  }();
  return user;
}

std::optional<uid_t> LocalListener::UserOf(const std::string& peer) {
  constexpr std::string_view kDescriptor = "fd:";
  int fd = -1;
  const auto* const end = peer.data() + peer.size();
  if (!peer.starts_with(kDescriptor) || std::from_chars(peer.data() + kDescriptor.size(), end, fd).ptr != end) {
    return std::nullopt;
  }
  return UserAt(fd);
}

Result<std::unique_ptr<LocalListener>> LocalListener::Bind(const std::string& path, std::optional<gid_t> group) {
  RETURN_IF_ERROR(CheckFolder(path));
  std::unique_ptr<LocalListener> listener(new LocalListener(path));
  RETURN_IF_ERROR(listener->Open(group));
  return listener;
}

// A lock shows whether a server is running: one that was killed leaves the socket's name behind.
Status LocalListener::Open(std::optional<gid_t> group) {
  const auto lock_path = path_ + ".lock";
  lock_ = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0) {
    return Unusable(path_, lock_path + ": " + std::strerror(errno));
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return Unusable(path_, "another server is listening there");
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
    return Unusable(path_, std::strerror(error));
  }
  if (group && chown(path_.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return Unusable(path_, std::string("chown to the configured group: ") + std::strerror(errno));
  }
  return {};
}

LocalListener::~LocalListener() {
  Stop();
  Close(lock_);
}

Status LocalListener::Start(grpc::Server& server, ConnectionLimits limits,
                            std::function<bool(const std::string&)> listed) {
  if (listen(socket_, SOMAXCONN) != 0) {
    return Unusable(path_, std::string("listen: ") + std::strerror(errno));
  }
  connections_ = std::make_unique<Connections>(
      limits, Connections::Acceptor{.sockets = {socket_},
                                    .origin = OriginOf,
                                    .listed = std::move(listed),
                                    .greeting = JudgeHttp2,
                                    .hand_over = [&server](int fd) { grpc::AddInsecureChannelFromFd(&server, fd); }});
  return connections_->Start();
}

void LocalListener::Stop() {
  connections_.reset();
  // So that a new connection is refused at once instead of waiting until the process ends.
  if (socket_ >= 0) {
    unlink(path_.c_str());
    Close(socket_);
  }
}

}  // namespace assertion::service
