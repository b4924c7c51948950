#include "observe/visitors.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace assertion {
namespace {

std::string SourceOf(int socket) {
  constexpr std::size_t kBeforeV4 = 12;  // of an IPv4 address in an IPv6 one
  constexpr std::size_t kPrefix = 8;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return {};
  }
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return {reinterpret_cast<const char*>(&v4.sin_addr), sizeof v4.sin_addr};
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  const std::string octets(reinterpret_cast<const char*>(&v6.sin6_addr), sizeof v6.sin6_addr);
  return IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) ? octets.substr(kBeforeV4) : octets.substr(0, kPrefix);
}

}  // namespace

bool Visitors::Admit(int socket) {
  auto source = SourceOf(socket);
  const std::scoped_lock lock(mutex_);
  std::map<std::string, std::size_t> held{{source, 0}};
  std::size_t open = 0;
  for (const auto& visitor : visitors_) {
    const std::size_t one = visitor.shut ? 0 : 1;
    held[visitor.source] += one;
    open += one;
  }
  if (open >= kMost) {
    auto most = std::ranges::max_element(held, {}, [](const auto& each) { return each.second; });
    if (held[source] == most->second) {
      most = held.find(source);
    }
    // An address that makes its own connections go leaves room for the others to do the same.
    const bool its_own = most->first == source;
    if (visitors_.size() - open >= (its_own ? kEnding / 2 : kEnding)) {
      return false;
    }
    const auto oldest = std::ranges::find_if(
        visitors_, [&](const Visitor& visitor) { return !visitor.shut && visitor.source == most->first; });
    shutdown(oldest->socket, SHUT_RDWR);  // wakes the thread that waits for it
    oldest->shut = true;
  }
  visitors_.push_back({.socket = socket, .source = std::move(source)});
  return true;
}

bool Visitors::IsShut(int socket) const {
  const std::scoped_lock lock(mutex_);
  return std::ranges::any_of(visitors_,
                             [&](const Visitor& visitor) { return visitor.shut && visitor.socket == socket; });
}

// Forgotten first: the system may give its number to another connection.
void Visitors::Close(int socket) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(visitors_, [&](const Visitor& visitor) { return visitor.socket == socket; });
  close(socket);
}

}  // namespace assertion
