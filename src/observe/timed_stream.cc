#include "observe/timed_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace assertion {

// False at the deadline, and when the connection is broken.
bool TimedStream::Wait(short events) const {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      return false;
    }
    struct pollfd watched{.fd = socket_, .events = events, .revents = 0};
    const int ready = poll(&watched, 1, static_cast<int>(left));
    if (ready > 0) {
      return (watched.revents & (POLLERR | POLLNVAL)) == 0;
    }
    if (ready < 0 && errno != EINTR) {
      return false;
    }
  }
}

bool TimedStream::is_readable() const { return Wait(POLLIN); }
bool TimedStream::is_writable() const { return Wait(POLLOUT); }

ssize_t TimedStream::read(char* data, size_t size) { return Counted(Wait(POLLIN) ? recv(socket_, data, size, 0) : -1); }

ssize_t TimedStream::Counted(ssize_t received) {
  const auto octets = static_cast<size_t>(std::max<ssize_t>(received, 0));
  overrun_ = overrun_ || octets > left_;
  left_ -= std::min(octets, left_);
  return overrun_ ? -1 : received;
}

// What the peer does not take now waits for the deadline, not for the socket.
ssize_t TimedStream::write(const char* data, size_t size) {
  return Wait(POLLOUT) ? send(socket_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
}

}  // namespace assertion
