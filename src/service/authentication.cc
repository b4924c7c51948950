#include "service/authentication.h"

#include <string>

#include "service/local_listener.h"

namespace assertion::service {

Result<Caller> Authenticate(const grpc::ServerContextBase& context) {
  const auto local = context.auth_context()->FindPropertyValues(kLocalIdentity);
  if (local.size() != 1) {
    return Fail(Code::kUnauthenticated, "the peer is not known: call over the server's Unix domain socket");
  }
  return Caller::Authenticated({std::string(local.front().data(), local.front().size())});
}

}  // namespace assertion::service
