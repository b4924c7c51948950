#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <condition_variable>
#include <semaphore>
#include <stop_token>
#include <thread>

#include "assertion/mutex.h"

namespace assertion::service {

// Keeps gRPC's threads awake. Those that serve callbacks sleep for 100 ms, all of them, whenever nothing has come for a
// second (src/cpp/common/completion_queue_cc.cc; without effect where gRPC has its EventEngine's queue), and whoever
// calls then waits for them. While one lives, something comes.
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
