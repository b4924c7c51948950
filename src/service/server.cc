#include "service/server.h"

#include <fcntl.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "service/assertion_service.h"
#include "service/key_admin_service.h"

namespace assertion::service {
namespace {

constexpr int kMaxRequestOctets = 64 * 1024;  // 8 KiB of claims and room to say what was wrong with more
constexpr int kHandshakeLimitMs = 2000;

std::unexpected<Error> Unusable(const std::string& path, const std::string& why) {
  return Fail(Code::kAddressUnusable, "cannot listen on unix:" + path + ": " + why);
}

// Held for as long as the server runs: gRPC would take a socket over from another server in silence.
class SocketLock {
 public:
  static Result<SocketLock> Take(const std::string& socket_path) {
    const auto folder = socket_path.substr(0, socket_path.rfind('/') + 1);
    struct stat info{};
    if (stat(folder.c_str(), &info) != 0) {
      return Unusable(socket_path, folder + ": " + std::strerror(errno));
    }
    if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0) {
      return Unusable(socket_path, folder + " is writable by everybody, who could put another socket there");
    }
    if (lstat(socket_path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
      return Unusable(socket_path, "something else than a socket is there");
    }
    SocketLock lock;
    const auto path = socket_path + ".lock";
    lock.fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock.fd_ < 0) {
      return Unusable(socket_path, path + ": " + std::strerror(errno));
    }
    if (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
      return Unusable(socket_path, "another server is listening there");
    }
    return lock;
  }

  SocketLock(SocketLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SocketLock& operator=(SocketLock&&) = delete;
  SocketLock(const SocketLock&) = delete;
  SocketLock& operator=(const SocketLock&) = delete;
  ~SocketLock() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }

 private:
  SocketLock() = default;

  int fd_ = -1;
};

}  // namespace

struct Server::Parts {
  Parts(std::string path, SocketLock held, const Policy& policy, const KeyRing& keys, KeyCustodian& custodian,
        Token& token, SigningQueue& queue)
      : socket_path(std::move(path)),
        lock(std::move(held)),
        assertion_service(policy, keys, queue),
        key_admin_service(policy, keys, custodian, token, queue) {}

  std::string socket_path;
  SocketLock lock;
  AssertionService assertion_service;
  KeyAdminService key_admin_service;
  std::unique_ptr<grpc::Server> server;
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Server>> Server::Start(const std::string& socket_path, const Policy& policy, const KeyRing& keys,
                                              KeyCustodian& custodian, Token& token, SigningQueue& queue) {
  auto lock = SocketLock::Take(socket_path);
  if (!lock) {
    return std::unexpected(lock.error());
  }
  auto parts = std::make_unique<Parts>(socket_path, std::move(*lock), policy, keys, custodian, token, queue);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("unix:" + socket_path, grpc::experimental::LocalServerCredentials(UDS), &bound);
  builder.SetMaxReceiveMessageSize(kMaxRequestOctets);
  // A connection that says nothing would delay the stop for gRPC's own 120 s.
  builder.AddChannelArgument("grpc.server_handshake_timeout_ms", kHandshakeLimitMs);
  builder.RegisterService(&parts->assertion_service);
  builder.RegisterService(&parts->key_admin_service);
  // The socket is born with its mode: a chmod afterwards would leave a moment in which others can open it.
  const auto before = umask(0117);
  parts->server = builder.BuildAndStart();
  umask(before);
  if (!parts->server || bound == 0) {
    return Unusable(socket_path, "bind failed; is the folder writable?");
  }
  parts->server->GetHealthCheckService()->SetServingStatus(true);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::~Server() { Stop(std::chrono::seconds(0)); }

void Server::Stop(std::chrono::seconds grace) {
  if (parts_->server) {
    parts_->server->GetHealthCheckService()->SetServingStatus(false);
    parts_->server->Shutdown(std::chrono::system_clock::now() + grace);
    parts_->server->Wait();
    parts_->server.reset();
    unlink(parts_->socket_path.c_str());
  }
}

}  // namespace assertion::service
