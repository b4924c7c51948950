#pragma once

#include <grpcpp/server_context.h>

#include "assertion/caller.h"
#include "assertion/error.h"

namespace assertion::service {

// The caller, as the transport proved it when the connection began. UNAUTHENTICATED: the transport proved nothing.
// Handlers use Peers instead, which also checks the proof against the current trust.
Result<Caller> Authenticate(const grpc::ServerContextBase& context);

}  // namespace assertion::service
