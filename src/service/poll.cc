#include "service/poll.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace assertion::service {

Poll::~Poll() {
  for (const int fd : {poll_, stop_}) {
    if (fd >= 0) {
      close(fd);
    }
  }
}

Status Poll::Open() {
  stop_ = eventfd(0, EFD_CLOEXEC);
  poll_ = epoll_create1(EPOLL_CLOEXEC);
  if (stop_ < 0 || poll_ < 0 || !Add(stop_, EPOLLIN)) {
    return Fail(Code::kInternal, "connections cannot be watched", std::string("epoll: ") + std::strerror(errno));
  }
  return {};
}

bool Poll::Control(int operation, int fd, std::uint32_t events) const {
  epoll_event event{.events = events, .data = {.fd = fd}};
  return epoll_ctl(poll_, operation, fd, &event) == 0;
}

std::span<const epoll_event> Poll::Wait(int timeout) {
  const int count = epoll_wait(poll_, events_.data(), static_cast<int>(events_.size()), timeout);
  return std::span(events_).first(static_cast<std::size_t>(std::max(count, 0)));
}

void Poll::Stop() const { eventfd_write(stop_, 1); }

}  // namespace assertion::service
