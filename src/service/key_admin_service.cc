#include "service/key_admin_service.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <utility>
#include <variant>

#include "assertion/foreign_text.h"
#include "assertion/key_record.h"
#include "assertion/secret.h"
#include "jws/compact.h"
#include "keys/change_summary.h"
#include "observe/log.h"
#include "service/key_request.h"
#include "service/key_response.h"
#include "service/message.h"
#include "service/status.h"
#include "x509/openssl.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;

constexpr seconds kLongestProof{30};

// Names the versions of an accepted ledger in the audit line and in the log.
void NoteAccepted(const v1::AcceptedLedger& ledger, audit::Event& event) {
  event.accepted = {.found = ledger.found(), .seen = ledger.seen()};
  spdlog::warn("client {}: the ledger of version {} counts again as version {}, although version {} was seen",
               event.client_id, ledger.found(), ledger.version(), ledger.seen());
}

void NoteRequest(const KeyChange& change, audit::Event& event) {
  event.summary = SummaryOf(change);
  event.forced = RequestOf(change).forced;
}

// The HSM may have made a change whose answer was lost.
Error OfChange(Error error, const audit::Event& event) {
  if (error.code == Code::kUnavailable) {
    error.message +=
        event.request_id.empty()
            ? "; the change may have been made nevertheless: look at the client's keys before you repeat it"
            : "; the change may have been made nevertheless: repeated under its request_id it is made once";
  }
  return error;
}

void Finish(AuditedCall& call, const Error& error) { call.Finish(std::unexpected(error)); }

}  // namespace

Result<Caller> KeyAdminService::Allowed(const UnaryCall& unary, Role role, audit::Event& event) const {
  ASSIGN_OR_RETURN(auto caller, unary.caller());
  event.caller = caller.name();
  RETURN_IF_ERROR(policy_.load()->Allow(caller, role));
  return caller;
}

template <typename Request>
Result<Caller> KeyAdminService::Admit(const UnaryCall& unary, Role role, Request& request, audit::Event& event) const {
  ASSIGN_OR_RETURN(auto caller, Allowed(unary, role, event));
  RETURN_IF_ERROR(Parse(unary.request(), request));
  if constexpr (requires { request.client_id(); }) {
    event.client_id = request.client_id();
  }
  if constexpr (requires { request.kid(); }) {
    event.kid = request.kid();
  }
  if constexpr (requires { request.change(); }) {
    event.request_id = request.change().request_id();
  }
  return caller;
}

// A call may have waited for a worker for long.
Status KeyAdminService::StillAllowed(UnaryCall& unary, const Caller& caller, Role role) const {
  RETURN_IF_ERROR(peers_.CheckCertificate(unary.context()));
  return policy_.load()->Allow(caller, role);
}

template <typename Request, typename Response>
void KeyAdminService::Administer(UnaryCall& unary, const char* method, Role role, Worker& worker,
                                 Act<Request, Response> act) {
  const auto call = std::make_shared<AuditedCall>(audit_, method, unary);
  Request request;
  const auto post = [&]() -> Status {
    ASSIGN_OR_RETURN(auto caller, Admit(unary, role, request, call->event()));
    RETURN_IF_ERROR(policy_.load()->FindClient(request.client_id()));
    const auto name = caller.name();
    return worker.Post(name, [this, act, &unary, role, caller = std::move(caller), request = std::move(request), call] {
      if (const auto allowed = StillAllowed(unary, caller, role); !allowed) {
        Finish(*call, allowed.error());
        return;
      }
      Perform(*call, caller, request, act);
    });
  };
  if (const auto posted = post(); !posted) {
    Finish(*call, posted.error());
  }
}

// An act that cannot be recorded is not done.
template <typename Request, typename Response>
void KeyAdminService::Perform(AuditedCall& call, const Caller& caller, const Request& request,
                              Act<Request, Response> act) {
  auto& event = call.event();
  NoteOrigin(event);  // before the act, which may destroy the key
  const auto recordable = call.CanFinish();
  const auto reply =
      recordable ? (this->*act)(caller, request, event) : Result<Response>(std::unexpected(recordable.error()));
  if (!reply) {
    constexpr bool kIsChange = requires { reply->pending(); };
    Finish(call, kIsChange && recordable ? OfChange(reply.error(), event) : reply.error());
    return;
  }
  if constexpr (requires { reply->key().kid(); }) {
    if (reply->has_key()) {  // a change that waits has none yet
      event.kid = reply->key().kid();
      event.alg = reply->key().algorithm();
    }
    NoteOrigin(event);
  }
  const LogTrace trace(event.trace_id);
  if constexpr (requires { reply->ledger().found(); }) {
    if (reply->has_ledger()) {
      NoteAccepted(reply->ledger(), event);
    }
  }
  spdlog::info("{} by {}: client {}{}{}{}{}", event.name, event.caller, event.client_id,
               event.kid.empty() ? "" : ", key ", event.kid,
               event.change.empty() ? "" : ": not done yet, waits as change ", event.change);
  call.Finish(Serialize(*reply));
}

template <typename Request, typename Response>
Result<Response> KeyAdminService::Change(const Caller& caller, const Request& request, audit::Event& event) {
  ASSIGN_OR_RETURN(auto change, KeyChangeOf(request));
  NoteRequest(change, event);
  const auto policy = policy_.load();
  if (policy->two_person_rule().methods.contains(event.name)) {
    if (const auto settled = administration_.Settled(change)) {
      return ToResponse<Response>(*settled);
    }
    ASSIGN_OR_RETURN(const auto pending,
                     approvals_.Propose(caller, std::move(change), policy->two_person_rule().window));
    NoteProposed(pending, event);
    Response response;
    *response.mutable_pending() = ToProto(pending, SeenVersionFor(pending));
    return response;
  }
  ASSIGN_OR_RETURN(const auto result, administration_.Perform(change));
  return ToResponse<Response>(result);
}

void KeyAdminService::NoteOrigin(audit::Event& event) const {
  if (const auto origin = administration_.OriginOf(event.client_id, event.kid)) {
    event.origin = OriginNote(*origin);
  }
}

void KeyAdminService::ImportKey(UnaryCall& unary) {
  const auto call = std::make_shared<AuditedCall>(audit_, "ImportKey", unary);
  v1::ImportKeyRequest request;
  const auto parsed = ParseAndWipe(unary.request(), request);
  const auto post = [&]() -> Status {
    auto& event = call->event();
    ASSIGN_OR_RETURN(auto caller, Allowed(unary, Role::kOperator, event));
    RETURN_IF_ERROR(parsed);
    ASSIGN_OR_RETURN(auto import, TakeImport(unary, request, event));
    const auto name = caller.name();
    return changes_.Post(name, [this, &unary, caller = std::move(caller), import = std::move(import), call] {
      if (const auto allowed = StillAllowed(unary, caller, Role::kOperator); !allowed) {
        Finish(*call, allowed.error());
        return;
      }
      Perform(*call, caller, import, &KeyAdminService::Import);
    });
  };
  const auto posted = post();
  WipeOctets(*request.mutable_private_key());
  if (!posted) {
    Finish(*call, posted.error());
  }
}

void KeyAdminService::NoteProposed(const PendingChange& pending, audit::Event& event) const {
  event.change = pending.id;
  event.digest = pending.digest;
  event.pending = true;
  if (const auto* acceptance = std::get_if<LedgerAcceptance>(&*pending.change)) {
    if (const auto ledger = administration_.LedgerToAccept(*acceptance)) {
      event.accepted = {.found = ledger->found, .seen = ledger->seen};
    }
  }
}

// The later version that was seen of the ledger that the change would accept; 0: it accepts none, or none can be told.
std::int64_t KeyAdminService::SeenVersionFor(const PendingChange& pending) const {
  const auto* const acceptance = pending.change ? std::get_if<LedgerAcceptance>(&*pending.change) : nullptr;
  const auto ledger = acceptance == nullptr ? std::nullopt : administration_.LedgerToAccept(*acceptance);
  return ledger ? ledger->seen : 0;
}

Result<v1::CreateCsrResponse> KeyAdminService::CreateCsr(const Caller& /*caller*/, const v1::CreateCsrRequest& request,
                                                         audit::Event& /*event*/) {
  ASSIGN_OR_RETURN(auto csr,
                   administration_.CreateCsr(request.client_id(), request.kid(), request.subject(),
                                             {request.subject_alt_names().begin(), request.subject_alt_names().end()}));
  v1::CreateCsrResponse response;
  response.set_csr_pem(std::move(csr));
  return response;
}

Result<v1::ExamineKeyResponse> KeyAdminService::ExamineKey(const Caller& /*caller*/,
                                                           const v1::ExamineKeyRequest& request, audit::Event& event) {
  ASSIGN_OR_RETURN(const auto examined,
                   administration_.Examine(request.client_id(), Bytes(request.cka_id().begin(), request.cka_id().end()),
                                           request.algorithm(), request.hsm()));
  event.kid = examined.candidate.kid;
  return ToProto(examined);
}

Result<v1::CreateEvidenceResponse> KeyAdminService::CreateEvidence(const Caller& /*caller*/,
                                                                   const v1::CreateEvidenceRequest& request,
                                                                   audit::Event& /*event*/) {
  ASSIGN_OR_RETURN(auto evidence, administration_.CreateEvidence(request.client_id(), request.kid()));
  v1::CreateEvidenceResponse response;
  response.set_evidence(std::move(evidence));
  return response;
}

void KeyAdminService::Approve(UnaryCall& unary) {
  const auto call = std::make_shared<AuditedCall>(audit_, "ApproveChange", unary);
  v1::ApproveChangeRequest request;
  const auto post = [&]() -> Status {
    ASSIGN_OR_RETURN(auto caller, Admit(unary, Role::kViewer, request, call->event()));
    RETURN_IF_ERROR(policy_.load()->Allow(caller, Role::kApprover));
    call->event().change = request.id();
    const auto name = caller.name();
    auto approve = [this, &unary, caller = std::move(caller), request, call] {
      auto allowed = StillAllowed(unary, caller, Role::kApprover);
      if (allowed) {
        allowed = call->CanFinish();
      }
      const auto reply = allowed ? ApproveChange(caller, request, call->event())
                                 : Result<v1::ApproveChangeResponse>(std::unexpected(allowed.error()));
      call->Finish(reply ? Result<grpc::ByteBuffer>(Serialize(*reply))
                         : std::unexpected(allowed ? OfChange(reply.error(), call->event()) : reply.error()));
    };
    // The token tells which worker makes the change.
    return decisions_.Post(name, [this, name, approve = std::move(approve), id = request.id(), call] {
      auto& worker = approvals_.IsRevocation(id) ? brake_ : changes_;
      if (const auto posted = worker.Post(name, approve); !posted) {
        Finish(*call, posted.error());
      }
    });
  };
  if (const auto posted = post(); !posted) {
    Finish(*call, posted.error());
  }
}

Result<v1::ApproveChangeResponse> KeyAdminService::ApproveChange(const Caller& caller,
                                                                 const v1::ApproveChangeRequest& request,
                                                                 audit::Event& event) {
  const auto decision = approvals_.Approve(caller, request.id(), request.digest(),
                                           [this](const Caller& requester) { return MayChangeKeys(requester); });
  if (decision.change) {
    NoteDecided(*decision.change, event);
  }
  if (!decision.kept) {
    spdlog::error("change {} was not made and does not wait any more, ask for it again: {}", request.id(),
                  decision.kept.error().ToString());
  }
  RETURN_IF_ERROR(decision.result);
  auto reply = ToResponse<v1::ApproveChangeResponse>(*decision.result);
  if (decision.result->destroyed) {
    event.origin = OriginNote(*decision.result->destroyed);
  }
  if (reply.has_key()) {
    event.kid = reply.key().kid();
    event.alg = reply.key().algorithm();
    NoteOrigin(event);
  }
  const LogTrace trace(event.trace_id);
  if (reply.has_ledger()) {
    NoteAccepted(reply.ledger(), event);
  }
  const auto& change = *decision.change;
  spdlog::info("change {} approved by {}: {} for {}, client {}{}{}", change.id, caller.name(), change.method,
               change.requested_by.front(), change.client_id, event.kid.empty() ? "" : ", key ", event.kid);
  return reply;
}

bool KeyAdminService::MayChangeKeys(const Caller& caller) const {
  return policy_.load()->Allow(caller, Role::kOperator).has_value();
}

void KeyAdminService::RemoveExpiredChanges() {
  {
    const MutexLock lock(recording_);
    if (ended_ || (audit_.log != nullptr && !audit_.log->state())) {
      return;  // what cannot be recorded is not removed
    }
  }
  const auto removed = approvals_.RemoveExpired();
  const MutexLock lock(recording_);
  for (std::size_t i = 0; removed && i < removed->size() && !ended_; ++i) {
    const auto& change = (*removed)[i];
    audit::Event event;
    event.name = "ChangeExpired";
    event.change = change.id;
    event.outcome = "OK";
    NoteDecided(change, event);
    spdlog::warn("change {} expired, nobody approved it: {} for {}, client {}{}{}", change.id, change.method,
                 event.requested_by, change.client_id, change.kid.empty() ? "" : ", key ", change.kid);
    if (audit_.log != nullptr) {
      audit_.log->Record(event, [](const Status&) {});
    }
  }
}

void KeyAdminService::EndRecording() {
  const MutexLock lock(recording_);
  ended_ = true;
}

void KeyAdminService::NoteDecided(const PendingChange& change, audit::Event& event) const {
  event.client_id = change.client_id;
  event.kid = change.kid;
  event.method = change.method;
  event.digest = change.digest;
  if (change.change) {
    NoteRequest(*change.change, event);
  }
  event.requested_by = change.requested_by.empty() ? "" : change.requested_by.front();
  NoteOrigin(event);
}

void KeyAdminService::Withdraw(UnaryCall& unary) {
  const auto call = std::make_shared<AuditedCall>(audit_, "WithdrawChange", unary);
  v1::WithdrawChangeRequest request;
  const auto post = [&]() -> Status {
    ASSIGN_OR_RETURN(auto caller, Admit(unary, Role::kViewer, request, call->event()));
    RETURN_IF_ERROR(MayWithdraw(caller));
    call->event().change = request.id();
    const auto name = caller.name();
    return decisions_.Post(name, [this, &unary, caller = std::move(caller), id = request.id(), call] {
      const auto withdraw = [&]() -> Status {
        RETURN_IF_ERROR(peers_.CheckCertificate(unary.context()));
        RETURN_IF_ERROR(MayWithdraw(caller));
        RETURN_IF_ERROR(call->CanFinish());
        const auto withdrawal =
            approvals_.Withdraw(caller, id, policy_.load()->Allow(caller, Role::kApprover).has_value());
        if (withdrawal.change) {
          NoteDecided(*withdrawal.change, call->event());
        }
        return withdrawal.result;
      };
      const auto withdrawn = withdraw();
      call->Finish(withdrawn ? Result<grpc::ByteBuffer>(Serialize(v1::WithdrawChangeResponse()))
                             : std::unexpected(withdrawn.error()));
    });
  };
  if (const auto posted = post(); !posted) {
    Finish(*call, posted.error());
  }
}

Status KeyAdminService::MayWithdraw(const Caller& caller) const {
  const auto policy = policy_.load();
  return policy->Allow(caller, Role::kApprover) ? Status() : policy->Allow(caller, Role::kOperator);
}

template <typename Request, typename Response>
void KeyAdminService::Read(UnaryCall& unary, Result<Response> (KeyAdminService::*read)(const Request&) const) {
  Request request;
  audit::Event unrecorded;
  const auto admitted = Admit(unary, Role::kViewer, request, unrecorded);
  if (admitted) {
    unary.context().AddInitialMetadata("assertiond-version",
                                       ASSERTION_VERSION);  // for assertionctl; strangers see none
  }
  Respond(unary, admitted ? (this->*read)(request) : std::unexpected(admitted.error()));
}

Result<v1::GetKeyResponse> KeyAdminService::GetKey(const v1::GetKeyRequest& request) const {
  RETURN_IF_ERROR(policy_.load()->FindClient(request.client_id()));
  ASSIGN_OR_RETURN(const auto key, administration_.Get(request.client_id(), request.kid()));
  v1::GetKeyResponse response;
  *response.mutable_key() = ToProto(key);
  response.set_custody(key.custody);
  return response;
}

Result<v1::ListKeysResponse> KeyAdminService::ListKeys(const v1::ListKeysRequest& request) const {
  ASSIGN_OR_RETURN(const auto list, administration_.List(request.hsm()));
  auto response = ToProto(list);
  if (reload_ != nullptr) {
    constexpr std::size_t kMostShown = 4096;
    response.set_refused_configuration(Shown(reload_->Read().refusal, kMostShown));  // a path may be no UTF-8
  }
  return response;
}

Result<v1::ListPendingChangesResponse> KeyAdminService::ListPendingChanges(
    const v1::ListPendingChangesRequest& /*request*/) const {
  ASSIGN_OR_RETURN(const auto changes, approvals_.List());
  v1::ListPendingChangesResponse response;
  for (const auto& change : changes) {
    auto& shown = *response.add_changes();
    shown = ToProto(change, SeenVersionFor(change));
    shown.set_requester_lost_role(change.requested_by.empty() ||
                                  !MayChangeKeys(Caller::Authenticated(change.requested_by)));
  }
  return response;
}

Result<v1::GetAuditHeadResponse> KeyAdminService::GetAuditHead(const v1::GetAuditHeadRequest& /*request*/) const {
  if (audit_ == nullptr) {
    return Fail(Code::kFailedPrecondition,
                "this server writes no audit log: its configuration has audit.enabled false");
  }
  const auto position = audit_->position();
  v1::GetAuditHeadResponse reply;
  reply.set_jwk(audit_->jwk());
  reply.set_sequence(static_cast<std::int64_t>(position.head.sequence));
  reply.set_hash(position.head.hash);
  reply.set_checkpoint_sequence(static_cast<std::int64_t>(position.checkpoint));
  return reply;
}

Result<NewKeyRules> KeyAdminService::RulesOf(std::string_view client_id) const {
  const auto policy = policy_.load();
  ASSIGN_OR_RETURN(const auto* const client, policy->FindClient(client_id));
  return NewKeyRules{
      .algorithm = client->algorithm, .limits = policy->key_limits(), .takes_imported_keys = client->imported_keys};
}

void KeyAdminService::ProveKey(UnaryCall& unary) const {
  const auto call = std::make_shared<AuditedCall>(audit_, "ProveKey", unary);
  if (const auto accepted = Prove(unary, call); !accepted) {
    call->Finish(std::unexpected(accepted.error()));
  }
}

// Once the queue has accepted the job, the call is the job's to finish.
Status KeyAdminService::Prove(const UnaryCall& unary, const std::shared_ptr<AuditedCall>& call) const {
  v1::ProveKeyRequest request;
  RETURN_IF_ERROR(Admit(unary, Role::kOperator, request, call->event()));
  call->event().audience = request.audience();
  if (request.kid().empty()) {
    return Fail(Code::kInvalidArgument, "kid: must not be empty; ListKeys tells it");
  }
  auto approved =
      policy_.load()->ApproveTrial({.client_id = request.client_id(), .audience = request.audience(), .lifetime = {}});
  if (!approved) {
    return std::unexpected(approved.error());
  }
  ASSIGN_OR_RETURN(const auto found, hsms_.Find(request.client_id(), request.kid()));
  call->event().origin = OriginNote(found.entry.record.origin);
  const auto& key = found.entry.key;
  const auto state = found.entry.record.StateAt(Now());
  if (state != KeyState::kPublished || !key) {
    return Fail(Code::kFailedPrecondition, "kid: the key is not one that is published and does not sign yet");
  }
  if (auto can_finish = call->CanFinish(); !can_finish) {
    return can_finish;
  }
  call->Describe(*approved);
  const bool authenticates = approved->profile()->grant == Grant::kClientAuthentication;
  auto input = AssertionInput(*key, *approved);
  if (!input) {
    return std::unexpected(input.error());
  }
  return found.hsm->queue.Submit({.key = key,
                                  .input = std::move(*input),
                                  .caller = call->event().caller,
                                  .deadline = std::chrono::steady_clock::now() + kLongestProof,
                                  .done = [call, hsm = found.hsm, key, authenticates](Result<Signed> result) {
                                    if (result && !hsm->keys.IsGood(*key)) {
                                      result = Fail(Code::kAborted, "the key was revoked while this call waited");
                                    }
                                    if (!result) {
                                      call->Finish(std::unexpected(result.error()));
                                      return;
                                    }
                                    v1::ProveKeyResponse reply;
                                    reply.set_assertion(jws::Compact(std::move(result->input), result->signature));
                                    if (authenticates) {
                                      reply.set_client_assertion_type(kClientAssertionType);
                                    }
                                    call->Finish(Serialize(reply));
                                  }});
}

KeyAdminService::KeyAdminService(const CurrentPolicy& policy, const HsmGroup& hsms,
                                 const AdministeredHsms& administered, Peers& peers, AwaitedMessages& awaited,
                                 Records audit, const ReloadOutcome* reload)
    : policy_(policy),
      hsms_(hsms),
      peers_(peers),
      audit_(audit),
      reload_(reload),
      administration_(administered, [this](std::string_view client_id) { return RulesOf(client_id); }),
      approvals_(administration_, administered().front().token, x509::RandomOctets, ReadStoredRequest,
                 administered().front().pending_file) {
  const auto serve = [&](const char* method, std::function<void(UnaryCall&)> handle) {
    Serve(method, {.awaited = awaited,
                   .authenticate = [this](const auto& context) { return peers_.Authenticate(context); },
                   .admit = [this](const Caller& caller) { return policy_.load()->Admit(caller); },
                   .handle = std::move(handle)});
  };
  const auto serve_change = [&]<typename Request, typename Response>(const char* method, Worker& worker,
                                                                     Act<Request, Response> change) {
    serve(method, [this, method, &worker, change](UnaryCall& call) {
      Administer(call, method, Role::kOperator, worker, change);
    });
  };
  serve_change("GenerateKey", changes_, &KeyAdminService::Change<v1::GenerateKeyRequest, v1::GenerateKeyResponse>);
  serve_change("RotateKey", changes_, &KeyAdminService::Change<v1::RotateKeyRequest, v1::RotateKeyResponse>);
  serve_change("ImportCertificate", changes_,
               &KeyAdminService::Change<v1::ImportCertificateRequest, v1::ImportCertificateResponse>);
  serve_change("ScheduleKey", changes_, &KeyAdminService::Change<v1::ScheduleKeyRequest, v1::ScheduleKeyResponse>);
  serve_change("RevokeKey", brake_, &KeyAdminService::Change<v1::RevokeKeyRequest, v1::RevokeKeyResponse>);
  serve_change("DestroyKey", changes_, &KeyAdminService::Change<v1::DestroyKeyRequest, v1::DestroyKeyResponse>);
  serve_change("AcceptLedger", changes_, &KeyAdminService::Change<v1::AcceptLedgerRequest, v1::AcceptLedgerResponse>);
  serve("CreateCsr", [this](UnaryCall& call) {
    Administer(call, "CreateCsr", Role::kOperator, reads_, &KeyAdminService::CreateCsr);
  });
  serve_change("AdoptKey", changes_, &KeyAdminService::Change<v1::AdoptKeyRequest, v1::AdoptKeyResponse>);
  serve("ImportKey", [this](UnaryCall& call) { ImportKey(call); });
  serve("ExamineKey", [this](UnaryCall& call) {
    Administer(call, "ExamineKey", Role::kOperator, reads_, &KeyAdminService::ExamineKey);
  });
  serve("CreateEvidence", [this](UnaryCall& call) {
    Administer(call, "CreateEvidence", Role::kViewer, reads_, &KeyAdminService::CreateEvidence);
  });
  serve("GetKey", [this](UnaryCall& call) { Read(call, &KeyAdminService::GetKey); });
  serve("ListKeys", [this](UnaryCall& call) { Read(call, &KeyAdminService::ListKeys); });
  serve("ListPendingChanges", [this](UnaryCall& call) { Read(call, &KeyAdminService::ListPendingChanges); });
  serve("GetAuditHead", [this](UnaryCall& call) { Read(call, &KeyAdminService::GetAuditHead); });
  serve("ApproveChange", [this](UnaryCall& call) { Approve(call); });
  serve("WithdrawChange", [this](UnaryCall& call) { Withdraw(call); });
  serve("ProveKey", [this](UnaryCall& call) { ProveKey(call); });
}

}  // namespace assertion::service
