#include "service/local_listener.h"

#include <fcntl.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
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

void Close(int& fd) {
  if (fd >= 0) {
    close(std::exchange(fd, -1));
  }
}

}  // namespace

// Marks the calls of one user's connections. gRPC shares a connection's AuthContext among its calls: it is written by
// the first of them alone, before any handler reads it.
class LocalListener::Marker final : public grpc::AuthMetadataProcessor {
 public:
  void SetUser(uid_t user) { identity_ = "uid:" + std::to_string(user); }

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& /*metadata*/, grpc::AuthContext* context, OutputMetadata* /*consumed*/,
                       OutputMetadata* /*response*/) override {
    const std::lock_guard lock(mutex_);
    if (context->FindPropertyValues(kLocalIdentity).empty()) {
      context->AddProperty(kLocalIdentity, identity_);
    }
    return grpc::Status::OK;
  }

 private:
  std::mutex mutex_;
  std::string identity_;  // set before the first connection
};

Result<std::unique_ptr<LocalListener>> LocalListener::Bind(const std::string& path, std::optional<gid_t> group) {
  if (const auto fit = CheckFolder(path); !fit) {
    return std::unexpected(fit.error());
  }
  std::unique_ptr<LocalListener> listener(new LocalListener(path));
  if (const auto opened = listener->Open(group); !opened) {
    return std::unexpected(opened.error());
  }
  return listener;
}

// The lock outlives the socket's name, which a server that was killed leaves behind.
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
  stop_ = eventfd(0, EFD_CLOEXEC);
  socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  // The socket is born with its mode: a chmod afterwards would leave a moment in which others can open it.
  const auto before = umask(0117);
  const bool bound =
      stop_ >= 0 && socket_ >= 0 && bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
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
  Close(stop_);
  Close(lock_);
}

void LocalListener::AddTo(grpc::ServerBuilder& builder) {
  for (auto& slot : slots_) {
    slot.marker = std::make_shared<Marker>();
    const auto credentials = grpc::experimental::LocalServerCredentials(UDS);
    credentials->SetAuthMetadataProcessor(slot.marker);
    slot.acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  }
}

Status LocalListener::Start() {
  if (listen(socket_, SOMAXCONN) != 0) {
    return Unusable(path_, std::string("listen: ") + std::strerror(errno));
  }
  thread_ = std::jthread([this] { Accept(); });
  return {};
}

void LocalListener::Stop() {
  if (thread_.joinable()) {
    eventfd_write(stop_, 1);
    thread_.join();
  }
  // Who comes now is to be refused at once, not to wait for an end that may take a while.
  if (socket_ >= 0) {
    unlink(path_.c_str());
    Close(socket_);
  }
}

void LocalListener::Accept() {
  constexpr int kPauseMs = 100;  // when there are no descriptors left, until there may be some
  while (true) {
    std::array<pollfd, 2> watched{pollfd{.fd = stop_, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = socket_, .events = POLLIN, .revents = 0}};
    poll(watched.data(), watched.size(), -1);
    if (watched[0].revents != 0) {
      return;
    }
    const int connection = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) {
      Hand(connection);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      poll(watched.data(), 1, kPauseMs);
    }
  }
}

void LocalListener::Hand(int connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  Slot* slot = getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? SlotOf(peer.uid) : nullptr;
  if (slot == nullptr) {
    spdlog::warn("a connection of user {} is refused: connections of {} other users have come before", peer.uid,
                 kMostUsers);
    close(connection);
    return;
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = socket_;
  parameters.fd = connection;
  slot->acceptor->HandleNewConnection(&parameters);
}

LocalListener::Slot* LocalListener::SlotOf(uid_t user) {
  const auto found = std::ranges::find_if(slots_, [&](const Slot& slot) { return !slot.user || slot.user == user; });
  if (found == slots_.end()) {
    return nullptr;
  }
  if (!found->user) {
    found->user = user;
    found->marker->SetUser(user);
  }
  return &*found;
}

}  // namespace assertion::service
