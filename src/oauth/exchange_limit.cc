#include "oauth/exchange_limit.h"

#include <fcntl.h>
#include <linux/tcp.h>  // not netinet/tcp.h, whose tcp_info counts no octets; a file cannot include both
#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

namespace assertion::oauth {
namespace {

constexpr std::chrono::milliseconds kTick{20};
constexpr std::size_t kAround = std::size_t{128} << 10U;

std::size_t ReceivedBy(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

}  // namespace

ExchangeLimit::ExchangeLimit(std::chrono::milliseconds time, std::size_t most_octets, std::stop_token given_up)
    : end_(std::chrono::steady_clock::now() + time),
      most_octets_(most_octets),
      given_up_(std::move(given_up)),
      watcher_([this](const std::stop_token& stop) { Run(stop); }) {}

void ExchangeLimit::Watch(int socket) {
  const MutexLock lock(mutex_);
  socket_ = Descriptor(fcntl(socket, F_DUPFD_CLOEXEC, 0));
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
  MutexLock lock(mutex_);
  while (!stopped_.wait_for(lock, stop, kTick, [] { return false; }) && !stop.stop_requested()) {
    if (given_up_.stop_requested()) {
      why_ = "the program stops";
    } else if (std::chrono::steady_clock::now() > end_) {
      why_ = "its answer takes too long";
    } else if (ReceivedBy(socket_.get()) > most_octets_ + kAround) {
      why_ = TooLarge();
    }
    if (!why_.empty()) {
      shutdown(socket_.get(), SHUT_RDWR);  // again and again: httplib may connect to the host's next address
    }
  }
}

}  // namespace assertion::oauth
