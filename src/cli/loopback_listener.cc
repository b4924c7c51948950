#include "cli/loopback_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

namespace assertion::cli {
namespace {

using Steady = LoopbackListener::Steady;

constexpr std::size_t kMostOfHead = std::size_t{16} << 10U;  // octets
constexpr std::size_t kMostVisitors = 32;
constexpr std::chrono::seconds kVisit{10};
constexpr std::chrono::seconds kPatience{5};
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

// No script, image or frame of elsewhere; nothing of the address elsewhere in a Referer; nothing on a disk. no-referrer
// would make browsers send "Origin: null" with forms, too.
constexpr const char* kFields =
    "Cache-Control: no-store\r\nReferrer-Policy: same-origin\r\nX-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\nCross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n"
    "Connection: close\r\n";

int MillisecondsUntil(Steady::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Steady::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

bool IsTokenCharacter(char c) {  // RFC 9110 section 5.6.2
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").contains(c);
}

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// Reads a head without its empty line. Nothing if it is no strict HTTP/1.1 or repeats a field: a second Host, Cookie or
// Content-Length could be read in two ways.
std::optional<LoopbackRequest> ParseHead(std::string_view head) {
  const auto line = head.substr(0, head.find(kLineEnd));
  head.remove_prefix(std::min(line.size() + kLineEnd.size(), head.size()));
  constexpr std::string_view kVersion = " HTTP/1.1";
  const auto space = line.find(' ');
  if (space == std::string_view::npos || !line.ends_with(kVersion) || line.size() < space + 1 + kVersion.size()) {
    return std::nullopt;
  }
  LoopbackRequest request;
  request.method = line.substr(0, space);
  const auto target = line.substr(space + 1, line.size() - space - 1 - kVersion.size());
  if (!std::ranges::all_of(target, [](char c) { return c > ' ' && c <= '~'; }) || !target.starts_with('/')) {
    return std::nullopt;
  }
  const auto mark = target.find('?');
  request.path = target.substr(0, mark);
  request.has_query = mark != std::string_view::npos;
  request.query = request.has_query ? target.substr(mark + 1) : "";
  while (!head.empty()) {
    const auto field = head.substr(0, head.find(kLineEnd));
    head.remove_prefix(std::min(field.size() + kLineEnd.size(), head.size()));
    const auto colon = field.find(':');
    std::string name(field.substr(0, colon));
    if (colon == 0 || colon == std::string_view::npos || !std::ranges::all_of(name, IsTokenCharacter)) {
      return std::nullopt;
    }
    std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
    if (!request.fields.emplace(std::move(name), Trimmed(field.substr(colon + 1))).second) {
      return std::nullopt;
    }
  }
  return request;
}

// Content-Length; 0: there is none. Nothing if it is no number.
std::optional<std::size_t> ContentLength(const LoopbackRequest& request) {
  const auto text = request.Field("content-length");
  std::size_t length = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), length);
  if (request.fields.contains("content-length") && (read.ec != std::errc() || read.ptr != text.data() + text.size())) {
    return std::nullopt;
  }
  return length;
}

// Connections that this end closed first keep the port for a minute (TIME_WAIT): the next command of an operator may
// have it all the same. Linux lets nobody bind the port of a socket that listens.
bool ReuseAddress(const Descriptor& socket) {
  constexpr int kOn = 1;
  return setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn) == 0;
}

void Refuse(const Descriptor& browser, const std::string& status) {
  Answer(browser, {.status = status, .type = "text/plain; charset=utf-8", .body = status + "\n"});
}

}  // namespace

std::string_view LoopbackRequest::Field(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view() : found->second;
}

Result<LoopbackListener> LoopbackListener::Open(std::uint16_t port, std::size_t most_content, std::string host) {
  LoopbackListener listener;
  listener.host_ = std::move(host);
  listener.most_content_ = most_content;
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  socklen_t size = sizeof address;
  if (socket.get() < 0 || inet_pton(AF_INET, listener.host_.c_str(), &address.sin_addr) != 1 || !ReuseAddress(socket) ||
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(socket.get(), SOMAXCONN) != 0 ||
      getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return Fail(Code::kAddressUnusable, "cannot listen on " + listener.host_ + ":" + std::to_string(port),
                std::strerror(errno));
  }
  listener.port_ = ntohs(address.sin_port);
  listener.sockets_.push_back(std::move(socket));
  return listener;
}

bool LoopbackListener::HearLocalhost() {
  Descriptor socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port_);
  address.sin6_addr = in6addr_loopback;
  if (socket.get() >= 0 && ReuseAddress(socket) &&
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      listen(socket.get(), SOMAXCONN) == 0) {
    sockets_.push_back(std::move(socket));
    hears_localhost_ = true;
  } else {
    hears_localhost_ = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;  // nobody can listen there
  }
  return hears_localhost_;
}

std::string LoopbackListener::RefusalOf(const LoopbackRequest& request) const {
  const auto host = request.Field("host");
  if (host != authority() && !(hears_localhost_ && host == "localhost:" + std::to_string(port_))) {
    return "421 Misdirected Request";
  }
  if (request.fields.contains("transfer-encoding")) {
    return "411 Length Required";
  }
  const auto length = ContentLength(request);
  return !length ? "400 Bad Request" : *length > most_content_ ? "413 Content Too Large" : "";
}

// True: the visitor has gone, was refused, or became the request.
bool LoopbackListener::Read(Visitor& visitor, Result<LoopbackRequest>& request) {
  std::array<char, 4096> room{};
  const auto size = recv(visitor.socket.get(), room.data(), room.size(), MSG_DONTWAIT);
  if (size <= 0) {
    return size == 0 || (errno != EAGAIN && errno != EINTR);
  }
  visitor.text.append(room.data(), static_cast<std::size_t>(size));
  const auto head_end = visitor.text.find(kHeadEnd);
  if (std::min(head_end, visitor.text.size()) > kMostOfHead) {
    Refuse(visitor.socket, "431 Request Header Fields Too Large");
    return true;
  }
  if (head_end == std::string::npos) {
    return false;
  }
  auto parsed = ParseHead(std::string_view(visitor.text).substr(0, head_end));
  if (const auto refusal = parsed ? RefusalOf(*parsed) : "400 Bad Request"; !refusal.empty()) {
    Refuse(visitor.socket, refusal);
    return true;
  }
  const auto body = std::string_view(visitor.text).substr(head_end + kHeadEnd.size());
  const auto length = *ContentLength(*parsed);
  if (body.size() < length) {
    return false;
  }
  parsed->body = body.substr(0, length);
  parsed->browser = std::move(visitor.socket);
  request = *std::move(parsed);
  return true;
}

void LoopbackListener::Accept(const Descriptor& socket) {
  Descriptor came(accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (came.get() < 0) {
    return;
  }
  if (visitors_.size() == kMostVisitors) {
    visitors_.erase(visitors_.begin());  // the oldest: who only holds connections cannot keep the browser out
  }
  visitors_.push_back({.socket = std::move(came), .end = Steady::now() + kVisit, .text = {}});
}

Result<LoopbackRequest> LoopbackListener::Next(Steady::time_point end, const std::stop_token& given_up) {
  const Descriptor wake(given_up.stop_possible() ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1);
  if (given_up.stop_possible() && wake.get() < 0) {
    return Fail(Code::kAddressUnusable, "this process may open no more files", std::strerror(errno));
  }
  const std::stop_callback waker(given_up, [&wake] { eventfd_write(wake.get(), 1); });
  Result<LoopbackRequest> request = Fail(Code::kDeadlineExceeded, "no request came");
  for (auto now = Steady::now(); now < end && !request; now = Steady::now()) {
    if (given_up.stop_requested()) {
      return Fail(Code::kCancelled, "it was given up");
    }
    std::erase_if(visitors_, [&](const Visitor& visitor) { return visitor.end < now; });
    std::vector<pollfd> wait;
    auto until = end;
    for (const auto& visitor : visitors_) {
      wait.push_back({.fd = visitor.socket.get(), .events = POLLIN, .revents = 0});
      until = std::min(until, visitor.end);
    }
    for (const auto& socket : sockets_) {
      wait.push_back({.fd = socket.get(), .events = POLLIN, .revents = 0});
    }
    wait.push_back({.fd = wake.get(), .events = POLLIN, .revents = 0});  // -1 is left out
    poll(wait.data(), wait.size(), MillisecondsUntil(until));
    const auto seen = visitors_.size();
    // The oldest first: newer requests, however many, do not delay it.
    for (std::size_t i = 0, place = 0; i < seen && !request; ++i) {
      if (wait[i].revents != 0 && Read(visitors_[place], request)) {
        visitors_.erase(visitors_.begin() + static_cast<std::ptrdiff_t>(place));
      } else {
        ++place;
      }
    }
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      // A request above may have left others unread, which a newcomer must not replace.
      if ((wait[seen + i].revents & POLLIN) != 0 && (!request || visitors_.size() < kMostVisitors)) {
        Accept(sockets_[i]);
      }
    }
  }
  return request;
}

void LoopbackListener::Close() {
  visitors_.clear();
  sockets_.clear();
}

void Answer(const Descriptor& browser, const LoopbackAnswer& answer) {
  auto text = "HTTP/1.1 " + answer.status + "\r\nContent-Type: " + answer.type + "\r\n" + kFields +
              "Content-Security-Policy: " + answer.policy + "\r\n";
  for (const auto& field : answer.fields) {
    text += field + "\r\n";
  }
  text += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n" + answer.body;
  const auto end = Steady::now() + kPatience;
  for (std::string_view left = text; !left.empty() && Steady::now() < end;) {
    const auto sent = send(browser.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      left.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    pollfd wait{.fd = browser.get(), .events = POLLOUT, .revents = 0};
    if ((sent < 0 && errno != EAGAIN && errno != EINTR) || poll(&wait, 1, MillisecondsUntil(end)) <= 0) {
      return;
    }
  }
  shutdown(browser.get(), SHUT_WR);
  // What is unread at the close would reset the connection, and the answer with it.
  std::array<char, 4096> room{};
  for (std::size_t read = 0; read < kMostOfHead; read += room.size()) {
    if (recv(browser.get(), room.data(), room.size(), MSG_DONTWAIT) <= 0) {
      break;
    }
  }
}

}  // namespace assertion::cli
