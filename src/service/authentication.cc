#include "service/authentication.h"

#include <algorithm>

namespace assertion::service {

Result<Caller> Authenticate(const grpc::ServerContextBase& context) {
  // LocalServerCredentials(UDS) sets this after it has seen that the connection is a Unix domain socket's. Who may open
  // that socket is decided by its mode.
  const auto transport = context.auth_context()->FindPropertyValues("transport_security_type");
  if (std::ranges::find(transport, grpc::string_ref("local")) == transport.end()) {
    return Fail(Code::kUnauthenticated, "the peer is not known: call over the server's Unix domain socket");
  }
  return Caller::Authenticated("unix");
}

}  // namespace assertion::service
