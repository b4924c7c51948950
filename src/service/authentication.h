#pragma once

#include <grpcpp/server_context.h>

#include "assertion/caller.h"
#include "assertion/error.h"

namespace assertion::service {

// Who is calling, from what the transport proved; UNAUTHENTICATED when it proved nothing.
Result<Caller> Authenticate(const grpc::ServerContextBase& context);

}  // namespace assertion::service
