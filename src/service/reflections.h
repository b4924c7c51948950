#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "assertion/mutex.h"

namespace assertion::service {

// The calls of reflection that are open, by whom. Each keeps one of a few threads: one peer may have kMostOfOne, and
// another of its calls is CANCELLED.
class Reflections {
 public:
  static constexpr std::size_t kMostOfOne = 2;

  // What gRPC asks for an interceptor of each call. Lives as long as the last of them.
  static std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NewFactory();

 private:
  class Factory;
  class Visit;

  bool Add(const std::string& peer);
  void Remove(const std::string& peer);

  Mutex mutex_;
  std::map<std::string, std::size_t, std::less<>> open_ GUARDED_BY(mutex_);
};

}  // namespace assertion::service
