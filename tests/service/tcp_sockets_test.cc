#include "service/tcp_sockets.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "assertion/descriptor.h"

namespace assertion::service {
namespace {

TEST(TcpSocketsTest, APortThatAnotherListensOnIsRefused) {
  const auto first = TcpSockets::Listen("127.0.0.1:0");
  ASSERT_TRUE(first) << first.error().ToString();
  const auto address = "127.0.0.1:" + std::to_string(first->port());
  const auto second = TcpSockets::Listen(address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAddressUnusable);
  EXPECT_EQ(second.error().message, "cannot listen on " + address);
  EXPECT_NE(second.error().detail.find("in use"), std::string::npos) << second.error().detail;
}

TEST(TcpSocketsTest, AnAddressThatTheMachineDoesNotHaveIsRefused) {
  for (const auto* const address : {"192.0.2.1:0", "[2001:db8::1]:0", "no port"}) {
    const auto listening = TcpSockets::Listen(address);
    ASSERT_FALSE(listening) << address;
    EXPECT_EQ(listening.error().code, Code::kAddressUnusable);
    EXPECT_EQ(listening.error().message, std::string("cannot listen on ") + address);
  }
}

// Connects to that address. Returns the connection's origin as the server sees it, and the client's port.
std::pair<std::optional<Connections::Origin>, int> OriginOfAClient(const TcpSockets& sockets, const sockaddr* to,
                                                                   socklen_t size) {
  const Descriptor client(socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(client.get(), to, size) != 0) {
    return {};
  }
  sockaddr_in6 own{};  // both families have the port at the same offset
  socklen_t own_size = sizeof own;
  getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_size);
  pollfd comes{.fd = sockets.descriptors().front(), .events = POLLIN, .revents = 0};
  poll(&comes, 1, -1);
  const Descriptor accepted(accept4(sockets.descriptors().front(), nullptr, nullptr, SOCK_CLOEXEC));
  int at_once = 0;
  socklen_t at_once_size = sizeof at_once;
  getsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, &at_once_size);
  EXPECT_NE(at_once, 0) << "answers wait for acknowledgements";
  return {TcpSockets::OriginOf(accepted.get()), ntohs(own.sin6_port)};
}

TEST(TcpSocketsTest, EitherWildcardTakesBothFamiliesAndCountsByAddress) {
  for (const auto* const wildcard : {"0.0.0.0:0", "[::]:0"}) {
    const auto sockets = TcpSockets::Listen(wildcard);
    ASSERT_TRUE(sockets) << sockets.error().ToString();
    const auto port = htons(static_cast<std::uint16_t>(sockets->port()));
    const sockaddr_in v4{
        .sin_family = AF_INET, .sin_port = port, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    const auto [origin, client] = OriginOfAClient(*sockets, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    ASSERT_TRUE(origin);
    EXPECT_EQ(origin->peer, "ipv4:127.0.0.1:" + std::to_string(client));
    EXPECT_EQ(origin->counted, "ipv4:127.0.0.1");
    const sockaddr_in6 v6{.sin6_family = AF_INET6,
                          .sin6_port = port,
                          .sin6_flowinfo = 0,
                          .sin6_addr = in6addr_loopback,
                          .sin6_scope_id = 0};
    const auto [other, port6] = OriginOfAClient(*sockets, reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
    if (other) {  // absent on machines without IPv6
      EXPECT_EQ(other->peer, "ipv6:%5B::1%5D:" + std::to_string(port6));
      EXPECT_EQ(other->counted, "ipv6:::/64");
    }
  }
}

}  // namespace
}  // namespace assertion::service
