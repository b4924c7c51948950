#include "service/tcp_sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace assertion::service {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

template <typename Family>
Family As(const SocketAddress& address) {
  Family own{};
  std::memcpy(&own, &address.storage, sizeof own);
  return own;
}

template <typename Family>
SocketAddress From(const Family& own) {
  SocketAddress address{.size = sizeof own};
  std::memcpy(&address.storage, &own, sizeof own);
  return address;
}

SocketAddress WithPort(SocketAddress address, int port) {
  const auto number = htons(static_cast<std::uint16_t>(port));
  if (address.storage.ss_family == AF_INET) {
    auto v4 = As<sockaddr_in>(address);
    v4.sin_port = number;
    return From(v4);
  }
  auto v6 = As<sockaddr_in6>(address);
  v6.sin6_port = number;
  return From(v6);
}

int PortOf(const SocketAddress& address) {
  return ntohs(address.storage.ss_family == AF_INET ? As<sockaddr_in>(address).sin_port
                                                    : As<sockaddr_in6>(address).sin6_port);
}

std::string Text(int family, const void* octets) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(family, octets, text.data(), text.size());
  return text.data();
}

Connections::Origin OfV4(const void* octets, int port) {
  const auto host = "ipv4:" + Text(AF_INET, octets);
  return {.peer = host + ":" + std::to_string(port), .counted = host};
}

Connections::Origin OfV6(const sockaddr_in6& address) {
  constexpr std::size_t kBeforeV4 = 12;
  constexpr std::size_t kPrefixOctets = 8;
  const int port = ntohs(address.sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    return OfV4(&address.sin6_addr.s6_addr[kBeforeV4], port);
  }
  in6_addr prefix{};
  std::memcpy(&prefix, &address.sin6_addr, kPrefixOctets);
  // gRPC writes it as a URI.
  const auto scope = address.sin6_scope_id == 0 ? "" : "%25" + std::to_string(address.sin6_scope_id);
  return {.peer = "ipv6:%5B" + Text(AF_INET6, &address.sin6_addr) + scope + "%5D:" + std::to_string(port),
          .counted = "ipv6:" + Text(AF_INET6, &prefix) + "/64"};
}

bool IsWildcard(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    return As<sockaddr_in>(address).sin_addr.s_addr == htonl(INADDR_ANY);
  }
  const auto v6 = As<sockaddr_in6>(address).sin6_addr;
  return IN6_IS_ADDR_UNSPECIFIED(&v6);
}

bool TurnOn(int fd, int level, int option, int value = 1) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Without SO_REUSEPORT, which would let a second process share the port unnoticed. Accepted sockets inherit the
// options. On failure errno holds the reason.
Descriptor ListeningAt(const SocketAddress& address) {
  const int family = address.storage.ss_family;
  Descriptor listening(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = listening.get();
  const bool listens = fd >= 0 && TurnOn(fd, SOL_SOCKET, SO_REUSEADDR) && TurnOn(fd, IPPROTO_TCP, TCP_NODELAY) &&
                       (family != AF_INET6 || TurnOn(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
                       bind(fd, address.get(), address.size) == 0 && listen(fd, SOMAXCONN) == 0;
  if (!listens) {
    const int error = errno;
    listening = {};
    errno = error;
  }
  return listening;
}

// True if the machine lacks the address, or its family.
bool IsAbsent(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

// In order of preference.
Result<std::vector<SocketAddress>> Resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0) {
    return Fail(Code::kAddressUnusable, "", std::string("getaddrinfo: ") + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const auto* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET || entry->ai_family == AF_INET6) {
      SocketAddress address{.size = entry->ai_addrlen};
      std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
      const auto is_same = [&address](const SocketAddress& other) {
        return std::memcmp(&address.storage, &other.storage, sizeof address.storage) == 0;
      };
      if (std::ranges::none_of(addresses, is_same)) {  // /etc/hosts may list an address twice
        addresses.push_back(address);
      }
    }
  }
  return addresses;
}

}  // namespace

std::optional<Connections::Origin> TcpSockets::OriginOf(int fd) {
  SocketAddress peer;
  if (getpeername(fd, peer.get(), &peer.size) != 0) {
    return std::nullopt;
  }
  if (peer.storage.ss_family == AF_INET) {
    const auto v4 = As<sockaddr_in>(peer);
    return OfV4(&v4.sin_addr, ntohs(v4.sin_port));
  }
  return peer.storage.ss_family == AF_INET6 ? std::optional(OfV6(As<sockaddr_in6>(peer))) : std::nullopt;
}

Result<TcpSockets> TcpSockets::Listen(const std::string& address) {
  const auto unusable = [&address](const std::string& detail) {
    return Fail(Code::kAddressUnusable, "cannot listen on " + address, detail);
  };
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) {
    return unusable("no port");
  }
  auto host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  auto addresses = Resolve(host);
  if (!addresses) {
    return unusable(addresses.error().detail);
  }
  if (addresses->size() == 1 && IsWildcard(addresses->front())) {
    *addresses = {
        From(sockaddr_in6{
            .sin6_family = AF_INET6, .sin6_port = 0, .sin6_flowinfo = 0, .sin6_addr = {}, .sin6_scope_id = 0}),
        From(sockaddr_in{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}})};
  }
  const bool any = !addresses->empty() && IsWildcard(addresses->front());
  TcpSockets sockets;
  const std::string_view port(address.begin() + static_cast<std::ptrdiff_t>(colon + 1), address.end());
  std::from_chars(port.data(), port.data() + port.size(), sockets.port_);
  int absent = EADDRNOTAVAIL;
  for (const auto& one : *addresses) {
    auto listening = ListeningAt(WithPort(one, sockets.port_));
    SocketAddress own;
    if (listening.get() < 0 && IsAbsent(errno)) {
      absent = errno;
      continue;
    }
    if (listening.get() < 0 || getsockname(listening.get(), own.get(), &own.size) != 0) {
      return unusable(std::string("listen: ") + std::strerror(errno));
    }
    sockets.port_ = PortOf(own);
    sockets.sockets_.push_back(std::move(listening));
    if (any) {
      break;
    }
  }
  if (sockets.sockets_.empty()) {
    return unusable(std::string("bind: ") + std::strerror(absent));
  }
  return sockets;
}

std::vector<int> TcpSockets::descriptors() const {
  std::vector<int> descriptors;
  descriptors.reserve(sockets_.size());
  for (const auto& socket : sockets_) {
    descriptors.push_back(socket.get());
  }
  return descriptors;
}

}  // namespace assertion::service
