#pragma once

#include <memory>

#include "assertion/v1/assertion.grpc.pb.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "signing/hsm_group.h"

namespace assertion::service {

using RawAssertionService = v1::AssertionService::WithRawCallbackMethod_CreateAssertion<
    v1::AssertionService::WithRawCallbackMethod_GetCertificate<
        v1::AssertionService::WithRawCallbackMethod_GetJwks<v1::AssertionService::Service>>>;

// assertion.v1.AssertionService over gRPC's callback API. The core must outlive it.
class AssertionService final : public RawAssertionService {
 public:
  // `audit` may be null: nothing is recorded then. `tally` may be null: nothing is counted then.
  AssertionService(const CurrentPolicy& policy, const HsmGroup& hsms, audit::Log* audit, AssertionTally* tally)
      : policy_(policy), hsms_(hsms), audit_(audit), tally_(tally) {}

  grpc::ServerUnaryReactor* CreateAssertion(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetCertificate(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetJwks(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;

 private:
  Status Create(const grpc::CallbackServerContext& context, const grpc::ByteBuffer& wire,
                const std::shared_ptr<AuditedCall>& call, std::shared_ptr<AssertionTicket> ticket);
  Result<v1::GetCertificateResponse> Certificate(const grpc::CallbackServerContext& context,
                                                 const grpc::ByteBuffer& wire) const;
  Result<v1::GetJwksResponse> Jwks(const grpc::CallbackServerContext& context, const grpc::ByteBuffer& wire) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  audit::Log* audit_;
  AssertionTally* tally_;
};

}  // namespace assertion::service
