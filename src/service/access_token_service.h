#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "assertion/v1/access_token.grpc.pb.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "service/peers.h"
#include "service/translated_call.h"
#include "service/unary_call.h"
#include "signing/hsm_group.h"
#include "tokens/access_tokens.h"

namespace assertion::service {

// assertion.v1.AccessTokenService over gRPC's callback API. The core must outlive it.
class AccessTokenService final : public UnaryService<v1::AccessTokenService, v1::AccessTokenService::Service> {
 public:
  // `tokens` null: there are none, whatever the policy says.
  AccessTokenService(const CurrentPolicy& policy, const HsmGroup& hsms, tokens::AccessTokens* tokens, Peers& peers,
                     AwaitedMessages& awaited, Records audit);

  // An error of it refuses a token that the way back cannot carry; it is recorded as any other.
  using Fits = Status (*)(const tokens::AccessToken& token);

  // GetAccessToken for a translated call. An error in place of the request refuses the call.
  void Get(TranslatedCall translated, Result<v1::GetAccessTokenRequest> request, Fits fits = FitsAlways) const;

 private:
  using Instant = std::chrono::steady_clock::time_point;
  using Call = std::shared_ptr<AuditedCall>;

  // A call that was admitted.
  struct Asking {
    Caller caller;
    v1::GetAccessTokenRequest request;
    std::chrono::seconds minimum_validity;
    Instant deadline;
    std::shared_ptr<AssertionTicket> ticket;
    Fits fits;
  };
  using AskingPtr = std::shared_ptr<const Asking>;

  static Status FitsAlways(const tokens::AccessToken& /*token*/) { return {}; }

  Status Get(UnaryCall& unary, const Call& call) const;
  Status GetFor(const Caller& caller, v1::GetAccessTokenRequest request, Instant deadline,
                std::shared_ptr<AssertionTicket> ticket, Fits fits, const Call& call) const;
  Result<std::string> KidFor(const ApprovedAccessToken& approved) const;
  Status Ask(const AskingPtr& asking, ApprovedAccessToken approved, const Call& call) const;
  Status AskAgain(const AskingPtr& asking, const Call& call) const;
  Result<grpc::ByteBuffer> HandOut(const Asking& asking, const std::string& kid,
                                   const Result<tokens::AccessTokenPtr>& token, AuditedCall& call) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  tokens::AccessTokens* const tokens_;
  Peers& peers_;
  Records audit_;
};

}  // namespace assertion::service
