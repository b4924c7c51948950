#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <type_traits>

#include "assertion/v1/key_admin.grpc.pb.h"
#include "keys/pending_changes.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "service/peers.h"
#include "service/unary_call.h"
#include "service/worker.h"
#include "signing/hsm_group.h"

namespace assertion::service {

// assertion.v1.KeyAdminService. What takes the token runs one after the other on a thread of its own: making a key
// takes seconds, and gRPC's threads are the callers'. The emergency brake has another, so that it waits for none of
// that; so have what only reads, and what first looks a pending change up. The core must outlive it.
class KeyAdminService final : public UnaryService<v1::KeyAdminService, v1::KeyAdminService::Service> {
 public:
  // `audit` may be null: nothing is recorded then.
  KeyAdminService(const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers, AwaitedMessages& awaited,
                  Records audit);
  ~KeyAdminService() override = default;
  KeyAdminService(const KeyAdminService&) = delete;
  KeyAdminService& operator=(const KeyAdminService&) = delete;

 private:
  using Context = grpc::ServerContextBase;

  // Who calls, whether he has the role, and what he asks for, which `event` then names.
  template <typename Request>
  Result<Caller> Admit(const UnaryCall& unary, Role role, Request& request, audit::Event& event) const;

  // Whether the caller whom Admit admitted has the role still. A change may have waited for the token for long.
  Status StillAllowed(const Context& context, const Caller& caller, Role role) const;

  // Vets the call, does `act` on the worker thread, and records and answers what it made of the request.
  template <typename Request, typename Response>
  void Administer(UnaryCall& unary, const char* method, Role role,
                  Result<Response> (KeyAdminService::*act)(const Request&) const);
  template <typename Request, typename Response>
  void Perform(AuditedCall& call, const Caller& caller, const Request& request,
               Result<Response> (KeyAdminService::*act)(const Request&) const);

  // Whether the request could be acted on, as far as can be said before it is.
  template <typename Request>
  Status Vet(const Request& request) const;

  // Keeps the change until a second person approves it.
  template <typename Request, typename Response>
  Result<Response> Propose(const Caller& caller, const Request& request, audit::Event& event);

  // As Administer, for what is about a pending change. An approval goes on where the change would have been done.
  template <typename Request, typename Response>
  void Decide(UnaryCall& unary, const char* method,
              Result<Response> (KeyAdminService::*act)(const Caller&, const Request&, audit::Event&));
  Result<v1::ApproveChangeResponse> Approve(const Caller& caller, const v1::ApproveChangeRequest& request,
                                            audit::Event& event);
  Result<v1::ApproveChangeResponse> ApproveAlone(const Caller& caller, const v1::ApproveChangeRequest& request,
                                                 audit::Event& event);
  Result<v1::WithdrawChangeResponse> Withdraw(const Caller& caller, const v1::WithdrawChangeRequest& request,
                                              audit::Event& event);
  Result<v1::ApproveChangeResponse> Apply(const PendingChange& change) const;
  template <typename Request, typename Response>
  Result<v1::ApproveChangeResponse> ApplyAs(const PendingChange& change,
                                            Result<Response> (KeyAdminService::*act)(const Request&) const) const;

  // Whether the caller's role is one for that.
  template <typename Request>
  Status MayDecide(const Caller& caller) const;

  // Whether the change that waits is the emergency brake.
  bool Revokes(std::string_view id) const;

  // On which the call is done.
  template <typename Request>
  Worker& WorkerFor();

  // Nobody else may decide on the change while `decision` does.
  template <typename Decision>
  std::invoke_result_t<Decision> Alone(const std::string& id, const Decision& decision);

  // Answers at once, for any viewer, and records nothing.
  template <typename Request, typename Response>
  void Tell(UnaryCall& unary, Result<Response> (KeyAdminService::*read)(const Request&) const);

  Result<v1::GenerateKeyResponse> Generate(const v1::GenerateKeyRequest& request) const;
  Result<v1::RotateKeyResponse> Rotate(const v1::RotateKeyRequest& request) const;
  Result<v1::ImportCertificateResponse> Import(const v1::ImportCertificateRequest& request) const;
  Result<v1::ScheduleKeyResponse> Schedule(const v1::ScheduleKeyRequest& request) const;
  Result<v1::RevokeKeyResponse> Revoke(const v1::RevokeKeyRequest& request) const;
  Result<v1::DestroyKeyResponse> Destroy(const v1::DestroyKeyRequest& request) const;
  Result<v1::AcceptLedgerResponse> Accept(const v1::AcceptLedgerRequest& request) const;
  Result<v1::CreateCsrResponse> Csr(const v1::CreateCsrRequest& request) const;
  Result<v1::CreateEvidenceResponse> Evidence(const v1::CreateEvidenceRequest& request) const;

  Result<v1::GetKeyResponse> Get(const v1::GetKeyRequest& request) const;
  Result<v1::ListKeysResponse> List(const v1::ListKeysRequest& request) const;
  Result<v1::ListPendingChangesResponse> ListPending(const v1::ListPendingChangesRequest& request) const;
  Result<v1::GetAuditHeadResponse> AuditHead(const v1::GetAuditHeadRequest& request) const;

  // The HSM on which to make a key of the client's: the one that is named, else the first.
  Result<std::shared_ptr<const Hsm>> HsmFor(const std::string& name, const std::string& client_id) const;

  // The HSM whose key it is; the first when it is nobody's.
  std::shared_ptr<const Hsm> HolderOf(const std::string& client_id, const std::string& kid) const;

  // The reply that shows the key as it is now.
  template <typename Response>
  static Result<Response> Changed(const Hsm& hsm, const std::string& client_id, const Result<std::string>& kid);
  static Result<v1::Key> Show(const Hsm& hsm, const std::string& client_id, const std::string& kid);

  Time Now() const { return hsms_.First()->keys.Now(); }
  void ProveKey(UnaryCall& unary) const;
  Status Prove(const UnaryCall& unary, const std::shared_ptr<AuditedCall>& call) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  Peers& peers_;
  Records audit_;
  PendingChanges pending_;
  std::mutex mutex_;
  std::set<std::string, std::less<>> deciding_;  // ids of changes that are approved or withdrawn at this moment
  Worker changes_;
  Worker brake_;  // revocations and their approvals alone
  Worker reads_;
  Worker decisions_;  // ends first: it hands approvals over to the others
};

}  // namespace assertion::service
