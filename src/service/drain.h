#pragma once

#include <grpcpp/server.h>

#include <chrono>
#include <functional>

namespace assertion::service {

// Shuts a server down. Calls may finish until `deadline`. gRPC tells each client that it goes away, and waits up to 20
// s for an answer, which a client that only reads while it calls does not give (Python's). So `end_idle`, which ends
// the connections without a call, is called repeatedly once the others have had time to answer. On another thread.
void Drain(grpc::Server& server, std::chrono::system_clock::time_point deadline, const std::function<void()>& end_idle);

}  // namespace assertion::service
