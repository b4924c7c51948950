#include "cli/oidc/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace assertion::cli {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::string_view kPrefix = "http://127.0.0.1";
constexpr std::size_t kMostOctets = std::size_t{16} << 10U;  // of a request's head
constexpr std::size_t kMostVisitors = 32;
constexpr std::chrono::seconds kVisit{10};
// Static text: no script, no image, no frame; nothing of the address in a Referer; nothing on a disk.
constexpr const char* kHeaders =
    "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nCross-Origin-Opener-Policy: same-origin\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'\r\nConnection: close\r\n";

struct Visitor {
  Descriptor socket;
  Steady::time_point end;
  std::string head;
};

void Send(const Descriptor& socket, const std::string& status, const std::string& body) {
  const timeval patience{.tv_sec = 5, .tv_usec = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const auto text =
      "HTTP/1.1 " + status + "\r\n" + kHeaders + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  for (std::string_view left = text; !left.empty();) {
    const auto sent = send(socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return;
    }
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  shutdown(socket.get(), SHUT_WR);
}

// The value of the only Host field; nothing if there is none or several.
std::optional<std::string> HostOf(std::string_view head) {
  std::optional<std::string> host;
  for (auto at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const auto line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    constexpr std::string_view kName = "host:";
    if (line.size() < kName.size() || !std::ranges::equal(line.substr(0, kName.size()), kName, {}, [](char c) {
          return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        })) {
      continue;
    }
    if (host) {
      return std::nullopt;
    }
    auto value = line.substr(kName.size());
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    host = value.substr(0, value.find_last_not_of(" \t") + 1);
  }
  return host;
}

}  // namespace

Result<RedirectListener> RedirectListener::Open(const std::string& redirect_uri) {
  const auto wrong = [] {
    return Fail(Code::kInvalidArgument, "--redirect-uri must be http://127.0.0.1[:PORT]/PATH without query");
  };
  const auto slash = redirect_uri.find('/', kPrefix.size());
  if (!redirect_uri.starts_with(kPrefix) || slash == std::string::npos ||
      redirect_uri.find_first_of("?#\"<>\\ ") != std::string::npos) {
    return wrong();
  }
  const auto port_text = std::string_view(redirect_uri).substr(kPrefix.size(), slash - kPrefix.size());
  std::uint16_t port = 0;
  if (!port_text.empty()) {
    const auto* end = port_text.data() + port_text.size();
    const auto read = std::from_chars(port_text.data() + 1, end, port);
    if (port_text.front() != ':' || port_text.size() < 2 || read.ec != std::errc() || read.ptr != end) {
      return wrong();
    }
  }
  RedirectListener listener;
  listener.path_ = redirect_uri.substr(slash);
  listener.socket_ = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener.socket_.get() < 0 ||
      bind(listener.socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listener.socket_.get(), SOMAXCONN) != 0 ||
      getsockname(listener.socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return Fail(Code::kAddressUnusable, "cannot listen for --redirect-uri " + redirect_uri, std::strerror(errno));
  }
  listener.authority_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  listener.redirect_uri_ = "http://" + listener.authority_ + listener.path_;
  return listener;
}

Result<std::string> RedirectListener::Wait(std::chrono::seconds limit) {
  const auto end = Steady::now() + limit;
  std::vector<Visitor> visitors;
  // The query if this is the redirect; otherwise the visitor is answered.
  const auto query_of = [&](const Visitor& visitor) -> std::optional<std::string> {
    const std::string_view head = visitor.head;
    const auto line = head.substr(0, head.find("\r\n"));
    if (!line.starts_with("GET ") || !line.ends_with(" HTTP/1.1")) {
      Send(visitor.socket, "405 Method Not Allowed", "");
      return std::nullopt;
    }
    const auto target = line.substr(4, line.size() - 4 - std::string_view(" HTTP/1.1").size());
    const auto mark = target.find('?');
    if (HostOf(head) != authority_) {
      Send(visitor.socket, "421 Misdirected Request", "");
    } else if (target.substr(0, mark) != path_ || mark == std::string_view::npos) {
      Send(visitor.socket, "404 Not Found", "");
    } else {
      return std::string(target.substr(mark + 1));
    }
    return std::nullopt;
  };
  for (auto now = Steady::now(); now < end; now = Steady::now()) {
    std::erase_if(visitors, [&](const Visitor& visitor) { return visitor.end < now; });
    std::vector<pollfd> wait = {{.fd = socket_.get(), .events = POLLIN, .revents = 0}};
    auto until = end;
    for (const auto& visitor : visitors) {
      wait.push_back({.fd = visitor.socket.get(), .events = POLLIN, .revents = 0});
      until = std::min(until, visitor.end);
    }
    poll(wait.data(), wait.size(), static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(until - now).count()));
    for (std::size_t i = visitors.size(); i-- > 0;) {
      if (wait[i + 1].revents == 0) {
        continue;
      }
      auto& visitor = visitors[i];
      std::array<char, 4096> room{};
      const auto size = recv(visitor.socket.get(), room.data(), room.size(), MSG_DONTWAIT);
      if (size > 0) {
        visitor.head.append(room.data(), static_cast<std::size_t>(size));
      }
      const auto head_end = visitor.head.find("\r\n\r\n");
      if (head_end != std::string::npos) {
        visitor.head.resize(head_end);
        if (auto query = query_of(visitor)) {
          browser_ = std::move(visitor.socket);
          socket_ = Descriptor();  // one log-in
          return *std::move(query);
        }
      }
      if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR) || head_end != std::string::npos ||
          visitor.head.size() > kMostOctets) {
        visitors.erase(visitors.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if ((wait[0].revents & POLLIN) != 0) {
      Descriptor came(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (came.get() >= 0) {
        if (visitors.size() == kMostVisitors) {
          visitors.erase(visitors.begin());  // the oldest: who only holds connections cannot keep the browser out
        }
        visitors.push_back({.socket = std::move(came), .end = Steady::now() + kVisit, .head = {}});
      }
    }
  }
  return Fail(Code::kDeadlineExceeded,
              "nobody came back from the log-in within " + std::to_string(limit.count()) + " s");
}

void RedirectListener::Answer(const std::string& page) {
  Send(browser_, "200 OK", page);
  browser_ = Descriptor();
}

}  // namespace assertion::cli
