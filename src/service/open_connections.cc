#include "service/open_connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace assertion::service {
namespace {

using NameOf = int (*)(int, sockaddr*, socklen_t*);

std::optional<sockaddr_storage> Address(int socket, NameOf name) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const bool known = name(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  return known ? std::optional(address) : std::nullopt;
}

template <typename Family>
Family As(const sockaddr_storage& address) {
  Family own{};
  std::memcpy(&own, &address, sizeof own);
  return own;
}

int PortOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return ntohs(As<sockaddr_in>(address).sin_port);
  }
  return address.ss_family == AF_INET6 ? ntohs(As<sockaddr_in6>(address).sin6_port) : -1;
}

std::string HostOf(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto v4 = As<sockaddr_in>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return std::string("ipv4:") + text.data();
  }
  const auto v6 = As<sockaddr_in6>(address);
  constexpr std::size_t kBeforeV4 = 12;
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[kBeforeV4], text.data(), text.size());
    return std::string("ipv4:") + text.data();
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  return std::string("ipv6:%5B") + text.data() + "%5D";
}

std::optional<OpenConnection> Over(int socket, const Listening& where) {
  const auto own = Address(socket, getsockname);
  if (!own) {
    return std::nullopt;
  }
  if (own->ss_family == AF_UNIX) {
    const auto local = As<sockaddr_un>(*own);
    ucred peer{};
    socklen_t size = sizeof peer;
    int listens = 0;
    socklen_t listens_size = sizeof listens;
    const bool accepted = where.socket_path == std::string_view(&local.sun_path[0]) &&
                          getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) == 0 && listens == 0 &&
                          getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    return accepted ? std::optional(OpenConnection{.user = peer.uid, .peer = {}}) : std::nullopt;
  }
  if (where.tcp_port == 0 || PortOf(*own) != where.tcp_port) {
    return std::nullopt;
  }
  const auto peer = Address(socket, getpeername);
  return peer ? std::optional(OpenConnection{.user = {}, .peer = HostOf(*peer) + ":" + std::to_string(PortOf(*peer))})
              : std::nullopt;
}

}  // namespace

Status EndConnections(const Listening& where, const std::function<bool(const OpenConnection&)>& condemned) {
  std::error_code failed;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", failed);
       !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
    const auto name = entry->path().filename().string();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    const auto open = Over(number, where);
    // gRPC may have closed it meanwhile, and something else may have its number. A duplicate would rule that out, but
    // to close one of a file drops the locks that SoftHSM2 holds on it.
    if (open && condemned(*open) && Over(number, where) == open) {
      shutdown(number, SHUT_RDWR);
    }
  }
  return failed ? Fail(Code::kInternal, "the open connections cannot be listed", "/proc/self/fd: " + failed.message())
                : Status();
}

}  // namespace assertion::service
