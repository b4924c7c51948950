#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <condition_variable>
#include <semaphore>
#include <stop_token>
#include <thread>

#include "assertion/mutex.h"

namespace assertion::service {

// Keeps gRPC's callback threads awake. When no event has arrived for a second, all of them sleep for 100 ms
// (src/cpp/common/completion_queue_cc.cc; no effect where gRPC uses its EventEngine's queue), and the next call waits
// for them. A Heartbeat causes an event every 400 ms.
class Heartbeat {
 public:
  Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;
  ~Heartbeat() = default;

 private:
  void Run(const std::stop_token& stop);
  void Beat();

  grpc::GenericStub nowhere_;
  std::binary_semaphore came_{0};
  Mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;
};

}  // namespace assertion::service
