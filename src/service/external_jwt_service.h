#pragma once

#include <memory>

#include "kubernetes/external_jwt.grpc.pb.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "service/peers.h"
#include "service/unary_call.h"
#include "signing/hsm_group.h"

namespace assertion::service {

// v1.ExternalJWTSigner, by which kube-apiserver has service account tokens signed. Every method is for the one caller
// of KubernetesSigner. What the constructor takes must outlive it.
class ExternalJwtService final : public UnaryService<::v1::ExternalJWTSigner, ::v1::ExternalJWTSigner::Service> {
 public:
  // `audit` may have no log: nothing is recorded then. `tally` null: nothing is counted.
  ExternalJwtService(const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers, AwaitedMessages& awaited,
                     Records audit, AssertionTally* tally);

 private:
  using Call = std::shared_ptr<AuditedCall>;

  void CreateToken(UnaryCall& unary) const;
  Status Submit(UnaryCall& unary, const Call& call) const;

  // Answers a method that only reads, or refuses it as CreateToken does.
  template <typename Request, typename Response>
  void Read(UnaryCall& unary, const char* method, Result<Response> (ExternalJwtService::*read)() const) const;
  Result<::v1::FetchKeysResponse> Keys() const;
  Result<::v1::MetadataResponse> Longest() const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  Peers& peers_;
  Records audit_;
  AssertionTally* tally_;
};

}  // namespace assertion::service
