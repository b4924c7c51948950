#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "assertion/mutex.h"
#include "assertion/v1/assertion.grpc.pb.h"
#include "policy/policy.h"
#include "service/assertion_stream.h"
#include "service/audited_call.h"
#include "service/peers.h"
#include "service/translated_call.h"
#include "service/unary_call.h"
#include "signing/hsm_group.h"

namespace assertion::service {

using RawAssertionService =
    UnaryService<v1::AssertionService,
                 v1::AssertionService::WithRawCallbackMethod_CreateAssertions<v1::AssertionService::Service>>;

// assertion.v1.AssertionService over gRPC's callback API. The core must outlive it.
class AssertionService final : public RawAssertionService {
 public:
  // `audit` null: nothing is recorded. `tally` null: nothing is counted.
  AssertionService(const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers, AwaitedMessages& awaited,
                   Records audit, AssertionTally* tally);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* CreateAssertions(
      grpc::CallbackServerContext* context) override;

  // CreateAssertion for a translated call. An error in place of the request refuses the call.
  void Create(TranslatedCall translated, const Result<v1::CreateAssertionRequest>& request) const;

  // Ends streams that are older than `age`, or older than `silence` without a request: they stop reading and end after
  // the answers to the requests that they have read.
  void EndStreamsOlderThan(std::chrono::milliseconds age, std::chrono::milliseconds silence);

  // Ends all streams in the same way.
  void EndStreams();

 private:
  using Instant = std::chrono::steady_clock::time_point;
  using Call = std::shared_ptr<AuditedCall>;
  using Ticket = std::shared_ptr<AssertionTicket>;

  void ServeUnary(const char* method, AwaitedMessages& awaited, std::function<void(UnaryCall& call)> handle);
  // Serves a unary method that has something signed. `Request`: its message.
  template <typename Request>
  void ServeSigning(const char* method, AwaitedMessages& awaited);
  template <typename Request>
  Status Create(UnaryCall& unary, const Call& call) const;
  Status CreateOne(const Caller& caller, Instant latest, const v1::CreateAssertionsRequest& wanted, const Call& call,
                   Ticket ticket) const;
  template <typename Request>
  Result<ApprovedClaims> Approve(const Caller& caller, const Request& request, AuditedCall& call) const;
  template <typename Request>
  Status Submit(const Caller& caller, const Request& request, Instant deadline, std::optional<std::uint64_t> tag,
                const Call& call, Ticket ticket) const;
  void Keep(const std::shared_ptr<AssertionStream>& stream);
  Result<v1::GetCertificateResponse> Certificate(const UnaryCall& unary) const;
  Result<v1::GetJwksResponse> Jwks(const UnaryCall& unary) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  Peers& peers_;
  Records audit_;
  AssertionTally* tally_;

  Mutex mutex_;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<AssertionStream>> streams_ GUARDED_BY(mutex_);
};

}  // namespace assertion::service
