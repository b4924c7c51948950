#include "oauth/exchange_limit.h"

#include <fcntl.h>
#include <linux/tcp.h>  // not netinet/tcp.h, whose tcp_info counts no octets; a file cannot include both
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace assertion::oauth {
namespace {

constexpr std::chrono::duration<int, std::milli> kTick{20};
constexpr std::size_t kAround = std::size_t{128} << 10U;

std::size_t ReceivedBy(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

// Edges alone: what has been seen wakes nobody again.
int WakeFor(int poll, int descriptor) {
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {.fd = descriptor}};
  return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event);
}

int Opened(int result) {
  if (result < 0) {
    throw std::system_error(errno, std::generic_category());
  }
  return result;
}

}  // namespace

ExchangeLimit::ExchangeLimit(std::chrono::milliseconds time, std::size_t most_octets, std::stop_token given_up)
    : end_(std::chrono::steady_clock::now() + time),
      most_octets_(most_octets),
      given_up_(std::move(given_up)),
      ended_(Opened(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      poll_(Opened(epoll_create1(EPOLL_CLOEXEC))) {
  Opened(WakeFor(poll_.get(), ended_.get()));
  watcher_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void ExchangeLimit::Watch(int socket) {
  const MutexLock lock(mutex_);
  socket_ = Descriptor(fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (WakeFor(poll_.get(), socket_.get()) < 0) {
    why_ = "this process may open no more files";
    shutdown(socket, SHUT_RDWR);
  }
}

std::string ExchangeLimit::why() {
  const MutexLock lock(mutex_);
  return why_;
}

std::string ExchangeLimit::TooLarge() const {
  constexpr std::size_t kMebi = std::size_t{1} << 20U;
  return "its answer is larger than " + (most_octets_ % kMebi == 0 ? std::to_string(most_octets_ / kMebi) + " MiB"
                                                                   : std::to_string(most_octets_ >> 10U) + " KiB");
}

void ExchangeLimit::Run(const std::stop_token& stop) {
  const auto wake = [this] { eventfd_write(ended_.get(), 1); };
  const std::stop_callback ended(stop, wake);
  const std::stop_callback given_up(given_up_, wake);
  while (!stop.stop_requested()) {
    epoll_event event{};
    epoll_wait(poll_.get(), &event, 1, kTick.count());
    const MutexLock lock(mutex_);
    if (why_.empty()) {
      why_ = Judge();
    }
    if (!why_.empty()) {
      shutdown(socket_.get(), SHUT_RDWR);  // again and again: httplib may connect to the host's next address
    }
  }
}

std::string ExchangeLimit::Judge() {
  if (given_up_.stop_requested()) {
    return "the program stops";
  }
  if (std::chrono::steady_clock::now() > end_) {
    return "its answer takes too long";
  }
  return ReceivedBy(socket_.get()) > most_octets_ + kAround ? TooLarge() : std::string();
}

}  // namespace assertion::oauth
