#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "assertion/mutex.h"

namespace assertion::service {

// The open reflection calls of each peer. Each call occupies one of a few threads, so a peer may have kMostOfOne; a
// further call is CANCELLED.
class Reflections {
 public:
  static constexpr std::size_t kMostOfOne = 2;

  // The factory from which gRPC gets an interceptor per call.
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
