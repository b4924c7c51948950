#include "service/local_listener.h"

#include <grpcpp/server_posix.h>

#include <charconv>
#include <string_view>
#include <utility>

namespace assertion::service {
namespace {

std::optional<Connections::Origin> OriginOf(int fd) {
  const auto user = PeerUser(fd);
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

}  // namespace

std::optional<uid_t> LocalListener::UserOf(const std::string& peer) {
  constexpr std::string_view kDescriptor = "fd:";
  int fd = -1;
  const auto* const end = peer.data() + peer.size();
  if (!peer.starts_with(kDescriptor) || std::from_chars(peer.data() + kDescriptor.size(), end, fd).ptr != end) {
    return std::nullopt;
  }
  return PeerUser(fd);
}

Result<std::unique_ptr<LocalListener>> LocalListener::Bind(const std::string& path, std::optional<gid_t> group) {
  ASSIGN_OR_RETURN(auto socket, LocalSocket::Bind(path, group));
  return std::unique_ptr<LocalListener>(new LocalListener(std::move(socket)));
}

Status LocalListener::Start(grpc::Server& server, ConnectionLimits limits,
                            std::function<bool(const std::string&)> listed) {
  RETURN_IF_ERROR(socket_->Listen());
  connections_ = std::make_unique<Connections>(
      limits, Connections::Acceptor{.sockets = {socket_->descriptor()},
                                    .origin = OriginOf,
                                    .listed = std::move(listed),
                                    .greeting = JudgeHttp2,
                                    .hand_over = [&server](int fd) { grpc::AddInsecureChannelFromFd(&server, fd); }});
  return connections_->Start();
}

void LocalListener::Stop() {
  if (connections_) {
    connections_->Stop();
  }
  // So that a new connection is refused at once instead of waiting until the process ends.
  socket_->Remove();
}

}  // namespace assertion::service
