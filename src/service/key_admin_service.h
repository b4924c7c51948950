#pragma once

#include <string_view>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/v1/key_admin.grpc.pb.h"
#include "keys/administered_hsm.h"
#include "keys/approvals.h"
#include "keys/key_administration.h"
#include "observe/reload_outcome.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "service/peers.h"
#include "service/unary_call.h"
#include "service/worker.h"
#include "signing/hsm_group.h"

namespace assertion::service {

// assertion.v1.KeyAdminService: authenticates and records the calls of KeyAdministration and Approvals, and converts
// their messages. Calls that need the token run on workers, because making a key takes seconds and gRPC's threads serve
// all callers. Changes, revocations, reads and decisions have a worker each, so that the emergency brake waits for
// nothing else. What the constructor takes must outlive it.
class KeyAdminService final : public UnaryService<v1::KeyAdminService, v1::KeyAdminService::Service> {
 public:
  // `audit` may have no log: nothing is recorded then. `reload` null: ListKeys tells of no reload.
  KeyAdminService(const CurrentPolicy& policy, const HsmGroup& hsms, const AdministeredHsms& administered, Peers& peers,
                  AwaitedMessages& awaited, Records audit, const ReloadOutcome* reload);
  ~KeyAdminService() override = default;
  KeyAdminService(const KeyAdminService&) = delete;
  KeyAdminService& operator=(const KeyAdminService&) = delete;

  // Removes the pending changes whose time is over, and records each. Calls the token.
  void RemoveExpiredChanges();
  // From now on RemoveExpiredChanges records nothing: the audit log may end.
  void EndRecording();

 private:
  template <typename Request, typename Response>
  using Act = Result<Response> (KeyAdminService::*)(const Caller& caller, const Request& request, audit::Event& event);

  // Authenticates the caller, checks its role and parses the request, which `event` then describes.
  template <typename Request>
  Result<Caller> Admit(const UnaryCall& unary, Role role, Request& request, audit::Event& event) const;
  Result<Caller> Allowed(const UnaryCall& unary, Role role, audit::Event& event) const;

  // Checks that a caller that Admit let in is still trusted and still has the role.
  Status StillAllowed(UnaryCall& unary, const Caller& caller, Role role) const;

  // Admits the call, then does `act` on the worker, records its outcome and answers.
  template <typename Request, typename Response>
  void Administer(UnaryCall& unary, const char* method, Role role, Worker& worker, Act<Request, Response> act);
  template <typename Request, typename Response>
  void Perform(AuditedCall& call, const Caller& caller, const Request& request, Act<Request, Response> act);

  // Makes the change, or proposes it when the two-person rule covers it.
  template <typename Request, typename Response>
  Result<Response> Change(const Caller& caller, const Request& request, audit::Event& event);
  void NoteProposed(const PendingChange& pending, audit::Event& event) const;
  std::int64_t SeenVersionFor(const PendingChange& pending) const;

  // Like Administer, for the one call that brings a private key: it is wiped wherever it passed.
  void ImportKey(UnaryCall& unary);
  Result<KeyImport> TakeImport(UnaryCall& unary, v1::ImportKeyRequest& request, audit::Event& event) const;
  Result<v1::ImportKeyResponse> Import(const Caller& caller, const KeyImport& import, audit::Event& event);

  // Names where the event's key was born.
  void NoteOrigin(audit::Event& event) const;

  Result<v1::CreateCsrResponse> CreateCsr(const Caller& caller, const v1::CreateCsrRequest& request,
                                          audit::Event& event);
  Result<v1::ExamineKeyResponse> ExamineKey(const Caller& caller, const v1::ExamineKeyRequest& request,
                                            audit::Event& event);
  Result<v1::CreateEvidenceResponse> CreateEvidence(const Caller& caller, const v1::CreateEvidenceRequest& request,
                                                    audit::Event& event);

  void Approve(UnaryCall& unary);
  Result<v1::ApproveChangeResponse> ApproveChange(const Caller& caller, const v1::ApproveChangeRequest& request,
                                                  audit::Event& event);
  void Withdraw(UnaryCall& unary);
  void NoteDecided(const PendingChange& change, audit::Event& event) const;
  bool MayChangeKeys(const Caller& caller) const;
  Status MayWithdraw(const Caller& caller) const;

  // Answers any viewer at once and records nothing.
  template <typename Request, typename Response>
  void Read(UnaryCall& unary, Result<Response> (KeyAdminService::*read)(const Request&) const);
  Result<v1::GetKeyResponse> GetKey(const v1::GetKeyRequest& request) const;
  Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& request) const;
  Result<v1::ListPendingChangesResponse> ListPendingChanges(const v1::ListPendingChangesRequest& request) const;
  Result<v1::GetAuditHeadResponse> GetAuditHead(const v1::GetAuditHeadRequest& request) const;

  Time Now() const { return administration_.Now(); }
  void ProveKey(UnaryCall& unary) const;
  Status Prove(const UnaryCall& unary, const std::shared_ptr<AuditedCall>& call) const;

  Result<NewKeyRules> RulesOf(std::string_view client_id) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  Peers& peers_;
  Records audit_;
  const ReloadOutcome* const reload_;
  Mutex recording_;
  bool ended_ GUARDED_BY(recording_) = false;  // see EndRecording
  const KeyAdministration administration_;
  Approvals approvals_;
  Worker changes_;
  Worker brake_;  // revocations and their approvals alone
  Worker reads_;
  Worker decisions_;  // ends first: it hands approvals over to the others
};

}  // namespace assertion::service
