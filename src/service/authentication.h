#pragma once

#include <grpcpp/server_context.h>

#include "assertion/caller.h"
#include "assertion/error.h"

namespace assertion::service {

// Who is calling, from what the transport proved when the connection began; UNAUTHENTICATED when it proved nothing.
// Handlers ask Peers, who judges what was proved then by what is known now.
Result<Caller> Authenticate(const grpc::ServerContextBase& context);

}  // namespace assertion::service
