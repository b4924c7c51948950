#include "service/deadline.h"

#include <algorithm>

namespace assertion::service {

std::chrono::steady_clock::time_point DeadlineOf(const grpc::ServerContextBase& context) {
  // gRPC tells the time of day; a call without a deadline has one in the far future.
  const auto left = context.deadline() - std::chrono::system_clock::now();
  return std::chrono::steady_clock::now() +
         std::min<std::chrono::steady_clock::duration>(left, std::chrono::steady_clock::duration(kLongestWait));
}

}  // namespace assertion::service
