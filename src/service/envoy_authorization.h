#pragma once

#include "envoy/service/auth/v3/external_auth.grpc.pb.h"
#include "policy/policy.h"
#include "service/access_token_service.h"
#include "service/peers.h"
#include "service/unary_call.h"

namespace assertion::service {

// envoy.service.auth.v3.Authorization: AccessTokenService for Envoy's filter ext_authz, which puts the token into the
// request that it forwards. What the constructor takes must outlive it.
class EnvoyAuthorization final
    : public UnaryService<envoy::service::auth::v3::Authorization, envoy::service::auth::v3::Authorization::Service> {
 public:
  EnvoyAuthorization(const CurrentPolicy& policy, const AccessTokenService& tokens, Peers& peers,
                     AwaitedMessages& awaited);

 private:
  void Check(UnaryCall& unary) const;

  const AccessTokenService& tokens_;
};

}  // namespace assertion::service
