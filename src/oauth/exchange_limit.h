#pragma once

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <string>
#include <thread>

#include "assertion/descriptor.h"
#include "assertion/mutex.h"

namespace assertion::oauth {

// Ends an exchange over TCP that takes too long, brings too much, or that nobody waits for any more. httplib limits
// each wait alone, and no header as a whole.
class ExchangeLimit {
 public:
  // The time begins now. `most_octets`: of the body; header and TLS records may have 128 KiB more. Throws
  // std::system_error when the system gives no thread or descriptor.
  ExchangeLimit(std::chrono::milliseconds time, std::size_t most_octets, std::stop_token given_up = {});

  // Watches this socket from now on, in place of an earlier one. Shuts it down if it cannot be watched.
  void Watch(int socket);

  // Why it ended the exchange; empty: it did not.
  std::string why();

  // The reason for an answer of more than `most_octets`, which are whole KiB.
  std::string TooLarge() const;

 private:
  void Run(const std::stop_token& stop);
  std::string Judge() REQUIRES(mutex_);

  const std::chrono::steady_clock::time_point end_;
  const std::size_t most_octets_;
  const std::stop_token given_up_;
  const Descriptor ended_;  // an eventfd
  const Descriptor poll_;   // wakes when octets arrive: a fast sender fills the memory sooner than a clock ticks
  Mutex mutex_;
  Descriptor socket_ GUARDED_BY(mutex_);  // a duplicate: it stays this connection's after httplib has closed its own
  std::string why_ GUARDED_BY(mutex_);
  std::jthread watcher_;  // ends first
};

}  // namespace assertion::oauth
