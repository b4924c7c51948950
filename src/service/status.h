#pragma once

#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "assertion/error.h"

namespace assertion::service {

// What the caller sees of an error: its code and message, never its detail.
grpc::Status ToGrpc(const Error& error);

// Ends the call with the error, and logs its detail if it has one.
void Refuse(grpc::ServerUnaryReactor* reactor, const Error& error);

}  // namespace assertion::service
