#pragma once

#include <grpcpp/server_context.h>
#include <sys/types.h>

#include "assertion/caller.h"
#include "assertion/error.h"

namespace assertion::service {

// The caller, as the transport proved it when the connection began. UNAUTHENTICATED: the transport proved nothing.
// Handlers use Peers instead, which also checks the proof against the current trust.
Result<Caller> Authenticate(const grpc::ServerContextBase& context);

// The caller at the other end of a Unix domain socket. UNAUTHENTICATED: the kernel does not tell who it is.
Result<Caller> LocalCaller(uid_t user);

}  // namespace assertion::service
