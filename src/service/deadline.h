#pragma once

#include <grpcpp/server_context.h>

#include <chrono>

namespace assertion::service {

// No call waits longer for the token, whatever its own deadline.
inline constexpr std::chrono::seconds kLongestWait{30};

// When the call ends; in at most kLongestWait.
std::chrono::steady_clock::time_point DeadlineOf(const grpc::ServerContextBase& context);

}  // namespace assertion::service
