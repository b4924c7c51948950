#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>

#include "assertion/error.h"

namespace assertion::service {

// Watches descriptors (epoll), and wakes for Stop. One thread waits; the others may add, change and remove.
class Poll {
 public:
  Poll() = default;
  ~Poll();
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  // kInternal, with errno's text.
  Status Open();

  // `events`: EPOLLIN and so on. False: the kernel has no memory for it.
  bool Add(int fd, std::uint32_t events) { return Control(EPOLL_CTL_ADD, fd, events); }
  bool Change(int fd, std::uint32_t events) { return Control(EPOLL_CTL_MOD, fd, events); }
  void Remove(int fd) { Control(EPOLL_CTL_DEL, fd, 0); }

  // The events, valid until the next call. `timeout` in ms; negative: none.
  std::span<const epoll_event> Wait(int timeout);

  // Ends Wait, now and for ever: IsStop is then true for one of its events.
  void Stop() const;
  bool IsStop(const epoll_event& event) const { return event.data.fd == stop_; }

 private:
  bool Control(int operation, int fd, std::uint32_t events) const;

  int poll_ = -1;
  int stop_ = -1;  // an eventfd
  std::array<epoll_event, 64> events_{};
};

}  // namespace assertion::service
