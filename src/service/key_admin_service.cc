#include "service/key_admin_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "keys/evidence.h"
#include "observe/log.h"
#include "service/change_summary.h"
#include "service/key_request.h"
#include "service/message.h"
#include "service/status.h"
#include "x509/distinguished_name.h"
#include "x509/openssl.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;

constexpr seconds kLongestProof{30};

v1::KeyState ToProto(KeyState state) {
  switch (state) {
    case KeyState::kStaged:
      return v1::KEY_STATE_STAGED;
    case KeyState::kPublished:
      return v1::KEY_STATE_PUBLISHED;
    case KeyState::kSigning:
      return v1::KEY_STATE_SIGNING;
    case KeyState::kRetiring:
      return v1::KEY_STATE_RETIRING;
    case KeyState::kWithdrawn:
      return v1::KEY_STATE_WITHDRAWN;
  }
  return v1::KEY_STATE_UNSPECIFIED;
}

v1::Key ToProto(const Hsm& hsm, const std::string& client_id, const ScheduledKey& entry, std::int64_t version,
                Time now) {
  const auto& record = entry.record;
  v1::Key proto;
  proto.set_hsm(hsm.name);
  proto.set_client_id(client_id);
  proto.set_kid(record.kid);
  proto.set_algorithm(std::string(record.algorithm->name));
  proto.set_cka_id(record.id.data(), record.id.size());
  proto.set_state(ToProto(record.StateAt(now)));
  const auto set = [](google::protobuf::Timestamp* timestamp, Time time) {
    timestamp->set_seconds(time.time_since_epoch().count());
  };
  set(proto.mutable_publish_from(), record.publish_from);
  set(proto.mutable_sign_from(), record.sign_from);
  set(proto.mutable_sign_until(), record.sign_until);
  set(proto.mutable_publish_until(), record.publish_until);
  proto.set_version(version);
  if (entry.key) {
    proto.set_key_bits(entry.key->bits());
    if (!entry.key->chain.empty()) {
      const auto& leaf = entry.key->chain.front();
      proto.set_x5t_s256(jws::Sha256Thumbprint(leaf.der));
      set(proto.mutable_not_before(), leaf.not_before);
      set(proto.mutable_not_after(), leaf.not_after);
    }
  }
  return proto;
}

// Copies only as far as they are there.
void AddKeys(const Hsm& hsm, const std::string& client_id, v1::ListKeysResponse& reply) {
  const auto snapshot = hsm.keys.Snapshot();
  const auto found = snapshot->find(client_id);
  if (found == snapshot->end()) {
    return;
  }
  const auto& keys = found->second;
  for (const auto& entry : keys.keys) {
    if (entry.key || !keys.copies) {
      *reply.add_keys() = ToProto(hsm, client_id, entry, keys.version, hsm.keys.Now());
    }
  }
}

std::string DigestOf(const std::string& method, const std::string& request) {
  return jws::Sha256Thumbprint(AsBytes(method + ":" + request));
}

// Which versions an accepted ledger has, for the audit log and the log.
template <typename Response>
void NoteAccepted(const Response& reply, audit::Event& event) {
  if (reply.has_ledger()) {
    const auto& ledger = reply.ledger();
    event.accepted = {.found = ledger.found(), .seen = ledger.seen()};
    spdlog::warn("client {}: the ledger of version {} counts again as version {}, although version {} was seen",
                 event.client_id, ledger.found(), ledger.version(), ledger.seen());
  }
}

// Whether the caller is who asked for the change.
bool IsOf(const Caller& caller, const PendingChange& change) {
  return std::ranges::find_first_of(caller.identities(), change.requested_by) != caller.identities().end();
}

v1::PendingChange ToProto(const PendingChange& change) {
  v1::PendingChange proto;
  proto.set_id(change.id);
  proto.set_digest(change.digest);
  proto.set_method(change.method);
  proto.set_client_id(change.client_id);
  proto.set_kid(change.kid);
  proto.set_requested_by(change.requested_by.empty() ? "" : change.requested_by.front());
  proto.mutable_expires_at()->set_seconds(change.expires_at.time_since_epoch().count());
  proto.set_summary(SummaryOf(change));
  return proto;
}

}  // namespace

template <typename Request>
Result<Caller> KeyAdminService::Admit(const UnaryCall& unary, Role role, Request& request, audit::Event& event) const {
  auto caller = unary.caller();
  if (!caller) {
    return caller;
  }
  event.caller = caller->name();
  RETURN_IF_ERROR(policy_.load()->Allow(*caller, role));
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

Status KeyAdminService::StillAllowed(const Context& context, const Caller& caller, Role role) const {
  auto judged = peers_.Judge(context);
  return judged ? policy_.load()->Allow(caller, role) : judged;
}

template <typename Request>
Worker& KeyAdminService::WorkerFor() {
  if constexpr (std::is_same_v<Request, v1::RevokeKeyRequest>) {
    return brake_;
  } else if constexpr (requires(const Request& request) { request.change(); }) {
    return changes_;
  } else {
    return reads_;
  }
}

template <typename Request, typename Response>
void KeyAdminService::Administer(UnaryCall& unary, const char* method, Role role,
                                 Result<Response> (KeyAdminService::*act)(const Request&) const) {
  const auto call = std::make_shared<AuditedCall>(audit_, method, unary);
  Request request;
  const auto vet = [&]() -> Status {
    ASSIGN_OR_RETURN(auto caller, Admit(unary, role, request, call->event()));
    RETURN_IF_ERROR(policy_.load()->FindClient(request.client_id()));
    const auto name = caller.name();
    return WorkerFor<Request>().Post(
        name, [this, act, &unary, role, caller = std::move(caller), request = std::move(request), call] {
          if (const auto allowed = StillAllowed(unary.context(), caller, role); !allowed) {
            call->Finish(std::unexpected(allowed.error()));
            return;
          }
          Perform(*call, caller, request, act);
        });
  };
  if (const auto vetted = vet(); !vetted) {
    call->Finish(std::unexpected(vetted.error()));
  }
}

// What cannot be recorded is not done.
template <typename Request, typename Response>
void KeyAdminService::Perform(AuditedCall& call, const Caller& caller, const Request& request,
                              Result<Response> (KeyAdminService::*act)(const Request&) const) {
  const auto ask = [&]() -> Result<Response> {
    RETURN_IF_ERROR(call.CanFinish());
    if constexpr (requires(Response response) { response.mutable_pending(); }) {
      if (policy_.load()->two_person_rule().methods.contains(call.event().name)) {
        return Propose<Request, Response>(caller, request, call.event());
      }
    }
    return (this->*act)(request);
  };
  const auto reply = ask();
  if (!reply) {
    call.Finish(std::unexpected(reply.error()));
    return;
  }
  auto& event = call.event();
  if constexpr (requires { reply->key().kid(); }) {
    event.kid = reply->key().kid();
  }
  const LogTrace trace(event.trace_id);
  if constexpr (requires { reply->ledger().found(); }) {
    NoteAccepted(*reply, event);
  }
  spdlog::info("{} by {}: client {}, key {}{}{}", event.name, event.caller, event.client_id, event.kid,
               event.change.empty() ? "" : ", change ", event.change);
  call.Finish(Serialize(*reply));
}

template <typename Request>
Status KeyAdminService::Vet(const Request& request) const {
  if constexpr (std::is_same_v<Request, v1::AcceptLedgerRequest>) {
    const auto change = LedgerChangeOf(request);
    ASSIGN_OR_RETURN(const auto hsm,
                     change ? HsmFor(request.hsm(), request.client_id()) : std::unexpected(change.error()));
    const auto rolled_back = hsm->keys.RolledBack();
    const auto older = rolled_back->find(request.client_id());
    if (older == rolled_back->end() || older->second.found != change->expected_version) {
      return Fail(Code::kFailedPrecondition,
                  "change.expected_version: the HSM holds no ledger of this version that is "
                  "older than what was seen; /readyz and the log tell the versions");
    }
    return {};
  } else if constexpr (requires { request.kid(); }) {
    const auto change = KeyChangeOf(request);
    const auto found = change ? hsms_.Find(request.client_id(), request.kid()) : std::unexpected(change.error());
    return found ? Status() : std::unexpected(found.error());
  } else {
    const auto policy = policy_.load();
    ASSIGN_OR_RETURN(const auto change, NewKeyChangeOf(request, policy->FindClient(request.client_id())));
    if constexpr (requires { request.sign_from(); }) {
      RETURN_IF_ERROR(InstantOf(request.sign_from(), "sign_from"));
    }
    const auto hsm = HsmFor(request.hsm(), request.client_id());
    return hsm ? Status() : std::unexpected(hsm.error());
  }
}

template <typename Request, typename Response>
Result<Response> KeyAdminService::Propose(const Caller& caller, const Request& request, audit::Event& event) {
  RETURN_IF_ERROR(Vet(request));
  std::string kid;
  if constexpr (requires { request.kid(); }) {
    kid = request.kid();
  }
  const auto octets = request.SerializeAsString();
  const auto added = pending_.Add({.id = {},
                                   .method = event.name,
                                   .client_id = request.client_id(),
                                   .kid = std::move(kid),
                                   .request = octets,
                                   .digest = DigestOf(event.name, octets),
                                   .requested_by = caller.identities(),
                                   .expires_at = Now() + policy_.load()->two_person_rule().window});
  if (!added) {
    return std::unexpected(added.error());
  }
  event.change = added->id;
  if constexpr (std::is_same_v<Request, v1::AcceptLedgerRequest>) {
    if (const auto hsm = HsmFor(request.hsm(), request.client_id())) {
      event.accepted = {.found = request.change().expected_version(),
                        .seen = (*hsm)->keys.SeenVersionOf(request.client_id())};
    }
  }
  Response reply;
  *reply.mutable_pending() = ToProto(*added);
  return reply;
}

template <typename Request, typename Response>
void KeyAdminService::Decide(UnaryCall& unary, const char* method,
                             Result<Response> (KeyAdminService::*act)(const Caller&, const Request&, audit::Event&)) {
  const auto call = std::make_shared<AuditedCall>(audit_, method, unary);
  Request request;
  const auto vet = [&]() -> Status {
    ASSIGN_OR_RETURN(auto caller, Admit(unary, Role::kViewer, request, call->event()));
    if (auto allowed = MayDecide<Request>(caller); !allowed) {
      return allowed;
    }
    call->event().change = request.id();
    const auto name = caller.name();
    auto decide = [this, act, &unary, caller = std::move(caller), request, call] {
      const auto judged = peers_.Judge(unary.context());
      const auto allowed = judged ? MayDecide<Request>(caller) : judged;
      const auto can_finish = allowed ? call->CanFinish() : allowed;
      const auto reply =
          can_finish ? (this->*act)(caller, request, call->event()) : std::unexpected(can_finish.error());
      call->Finish(reply ? Result<grpc::ByteBuffer>(Serialize(*reply)) : std::unexpected(reply.error()));
    };
    if constexpr (std::is_same_v<Request, v1::WithdrawChangeRequest>) {
      return decisions_.Post(name, std::move(decide));
    } else {
      return decisions_.Post(name, [this, name, decide = std::move(decide), id = request.id(), call] {
        if (const auto posted = (Revokes(id) ? brake_ : changes_).Post(name, decide); !posted) {
          call->Finish(std::unexpected(posted.error()));
        }
      });
    }
  };
  if (const auto vetted = vet(); !vetted) {
    call->Finish(std::unexpected(vetted.error()));
  }
}

template <typename Request>
Status KeyAdminService::MayDecide(const Caller& caller) const {
  const auto policy = policy_.load();
  auto approver = policy->Allow(caller, Role::kApprover);
  if constexpr (std::is_same_v<Request, v1::WithdrawChangeRequest>) {
    return approver ? approver : policy->Allow(caller, Role::kOperator);
  } else {
    return approver;
  }
}

bool KeyAdminService::Revokes(std::string_view id) const {
  const auto changes = pending_.List();
  return changes && std::ranges::any_of(
                        *changes, [&](const auto& change) { return change.id == id && change.method == "RevokeKey"; });
}

template <typename Decision>
std::invoke_result_t<Decision> KeyAdminService::Alone(const std::string& id, const Decision& decision) {
  {
    const std::lock_guard lock(mutex_);
    if (!deciding_.insert(id).second) {
      return Fail(Code::kAborted, "id: the change is being approved or withdrawn at this moment; see key pending");
    }
  }
  auto decided = decision();
  const std::lock_guard lock(mutex_);
  deciding_.erase(id);
  return decided;
}

// Who asked must still be allowed to: the second person agrees with the first, and does not stand in for him.
Result<v1::ApproveChangeResponse> KeyAdminService::Approve(const Caller& caller,
                                                           const v1::ApproveChangeRequest& request,
                                                           audit::Event& event) {
  return Alone(request.id(), [&] { return ApproveAlone(caller, request, event); });
}

Result<v1::ApproveChangeResponse> KeyAdminService::ApproveAlone(const Caller& caller,
                                                                const v1::ApproveChangeRequest& request,
                                                                audit::Event& event) {
  ASSIGN_OR_RETURN(const auto change, pending_.Find(request.id(), request.digest()));
  event.client_id = change.client_id;
  event.kid = change.kid;
  if (IsOf(caller, change)) {
    return Fail(Code::kPermissionDenied,
                "you are known here as \"" + caller.name() + "\", who asked for this change: another must approve it");
  }
  if (change.requested_by.empty() ||
      !policy_.load()->Allow(Caller::Authenticated(change.requested_by), Role::kOperator)) {
    return Fail(Code::kPermissionDenied, "who asked for this change may not change keys any more");
  }
  auto reply = Apply(change);
  if (!reply) {
    return reply;
  }
  if (reply->has_key()) {
    event.kid = reply->key().kid();
  }
  const LogTrace trace(event.trace_id);
  NoteAccepted(*reply, event);
  if (const auto removed = pending_.Remove(change.id); !removed) {
    spdlog::error("change {} is done but stays in the list: {}", change.id, removed.error().ToString());
  }
  spdlog::info("change {} approved by {}: {} for {}, client {}, key {}", change.id, caller.name(), change.method,
               change.requested_by.front(), change.client_id, event.kid);
  return reply;
}

// An operator may not keep another's change, a revocation above all, from being approved.
Result<v1::WithdrawChangeResponse> KeyAdminService::Withdraw(const Caller& caller,
                                                             const v1::WithdrawChangeRequest& request,
                                                             audit::Event& /*event*/) {
  return Alone(request.id(), [&]() -> Result<v1::WithdrawChangeResponse> {
    ASSIGN_OR_RETURN(const auto changes, pending_.List());
    const auto change = std::ranges::find(changes, request.id(), &PendingChange::id);
    if (change == changes.end()) {
      return Fail(Code::kNotFound, "id: no such change waits for approval, or its time is over");
    }
    if (!IsOf(caller, *change) && !policy_.load()->Allow(caller, Role::kApprover)) {
      return Fail(Code::kPermissionDenied, "you are known here as \"" + caller.name() +
                                               "\": only who asked for this change, or an approver, may withdraw it");
    }
    const auto removed = pending_.Remove(request.id());
    return removed ? Result<v1::WithdrawChangeResponse>(v1::WithdrawChangeResponse())
                   : std::unexpected(removed.error());
  });
}

Result<v1::ApproveChangeResponse> KeyAdminService::Apply(const PendingChange& change) const {
  if (change.method == "GenerateKey") {
    return ApplyAs(change, &KeyAdminService::Generate);
  }
  if (change.method == "RotateKey") {
    return ApplyAs(change, &KeyAdminService::Rotate);
  }
  if (change.method == "ImportCertificate") {
    return ApplyAs(change, &KeyAdminService::Import);
  }
  if (change.method == "ScheduleKey") {
    return ApplyAs(change, &KeyAdminService::Schedule);
  }
  if (change.method == "RevokeKey") {
    return ApplyAs(change, &KeyAdminService::Revoke);
  }
  if (change.method == "DestroyKey") {
    return ApplyAs(change, &KeyAdminService::Destroy);
  }
  if (change.method == "AcceptLedger") {
    return ApplyAs(change, &KeyAdminService::Accept);
  }
  return Fail(Code::kFailedPrecondition, "id: this server does not know what the change is");
}

template <typename Request, typename Response>
Result<v1::ApproveChangeResponse> KeyAdminService::ApplyAs(const PendingChange& change,
                                                           Result<Response> (KeyAdminService::*act)(const Request&)
                                                               const) const {
  Request request;
  if (DigestOf(change.method, change.request) != change.digest || !request.ParseFromString(change.request)) {
    return Fail(Code::kFailedPrecondition, "digest: is not that of what is kept on the token");
  }
  ASSIGN_OR_RETURN(const auto done, (this->*act)(request));
  v1::ApproveChangeResponse reply;
  if constexpr (requires { done.key(); }) {
    *reply.mutable_key() = done.key();
  }
  if constexpr (requires { done.ledger().found(); }) {
    *reply.mutable_ledger() = done.ledger();
  }
  return reply;
}

template <typename Request, typename Response>
void KeyAdminService::Tell(UnaryCall& unary, Result<Response> (KeyAdminService::*read)(const Request&) const) {
  Request request;
  audit::Event unrecorded;
  const auto admitted = Admit(unary, Role::kViewer, request, unrecorded);
  Answer(unary, admitted ? (this->*read)(request) : std::unexpected(admitted.error()));
}

Result<std::shared_ptr<const Hsm>> KeyAdminService::HsmFor(const std::string& name,
                                                           const std::string& client_id) const {
  auto hsm = hsms_.Named(name);
  const auto client = hsm ? (*hsm)->keys.FindClient(client_id) : std::nullopt;
  if (client && (*hsm)->keys.HasCopiesOf(*client)) {
    return Fail(Code::kFailedPrecondition, "hsm: the identity server knows one key of client '" + client_id +
                                               "' (binding certificate): make it on the first HSM, and copy it with "
                                               "the means of the HSM's vendor");
  }
  return hsm;
}

std::shared_ptr<const Hsm> KeyAdminService::HolderOf(const std::string& client_id, const std::string& kid) const {
  const auto found = hsms_.Find(client_id, kid);
  return found ? found->hsm : hsms_.First();
}

Result<v1::Key> KeyAdminService::Show(const Hsm& hsm, const std::string& client_id, const std::string& kid) {
  ASSIGN_OR_RETURN(const auto entry, hsm.keys.Find(client_id, kid));
  return ToProto(hsm, client_id, entry, hsm.keys.VersionOf(client_id), hsm.keys.Now());
}

template <typename Response>
Result<Response> KeyAdminService::Changed(const Hsm& hsm, const std::string& client_id,
                                          const Result<std::string>& kid) {
  ASSIGN_OR_RETURN(auto key, kid ? Show(hsm, client_id, *kid) : std::unexpected(kid.error()));
  Response reply;
  *reply.mutable_key() = std::move(key);
  return reply;
}

Result<v1::GenerateKeyResponse> KeyAdminService::Generate(const v1::GenerateKeyRequest& request) const {
  const auto policy = policy_.load();
  ASSIGN_OR_RETURN(auto change, NewKeyChangeOf(request, policy->FindClient(request.client_id())));
  change.second.limits = policy->key_limits();
  ASSIGN_OR_RETURN(const auto hsm, HsmFor(request.hsm(), request.client_id()));
  return Changed<v1::GenerateKeyResponse>(*hsm, request.client_id(),
                                          hsm->custodian.Generate(change.first, change.second));
}

Result<v1::RotateKeyResponse> KeyAdminService::Rotate(const v1::RotateKeyRequest& request) const {
  const auto policy = policy_.load();
  ASSIGN_OR_RETURN(auto change, NewKeyChangeOf(request, policy->FindClient(request.client_id())));
  change.second.limits = policy->key_limits();
  std::optional<Time> sign_from;
  if (request.has_sign_from()) {
    ASSIGN_OR_RETURN(const auto time, InstantOf(request.sign_from(), "sign_from"));
    sign_from = time;
  }
  ASSIGN_OR_RETURN(const auto hsm, HsmFor(request.hsm(), request.client_id()));
  const auto before = hsm->keys.Find(request.client_id(), "");
  auto reply = Changed<v1::RotateKeyResponse>(*hsm, request.client_id(),
                                              hsm->custodian.Rotate(change.first, change.second, sign_from));
  if (reply && before && before->record.kid != reply->key().kid()) {
    if (auto predecessor = Show(*hsm, request.client_id(), before->record.kid); predecessor) {
      *reply->mutable_predecessor() = std::move(*predecessor);
    }
  }
  return reply;
}

Result<v1::ImportCertificateResponse> KeyAdminService::Import(const v1::ImportCertificateRequest& request) const {
  ASSIGN_OR_RETURN(const auto change, KeyChangeOf(request));
  const auto hsm = HolderOf(request.client_id(), request.kid());
  return Changed<v1::ImportCertificateResponse>(
      *hsm, request.client_id(), hsm->custodian.ImportCertificate(change, request.kid(), request.certificates()));
}

Result<v1::ScheduleKeyResponse> KeyAdminService::Schedule(const v1::ScheduleKeyRequest& request) const {
  const auto change = KeyChangeOf(request);
  const auto instants = InstantsOf(request);
  if (!change || !instants) {
    return std::unexpected(change ? instants.error() : change.error());
  }
  const auto hsm = HolderOf(request.client_id(), request.kid());
  return Changed<v1::ScheduleKeyResponse>(*hsm, request.client_id(),
                                          hsm->custodian.Reschedule(*change, request.kid(), *instants));
}

Result<v1::RevokeKeyResponse> KeyAdminService::Revoke(const v1::RevokeKeyRequest& request) const {
  ASSIGN_OR_RETURN(const auto change, KeyChangeOf(request));
  const auto hsm = HolderOf(request.client_id(), request.kid());
  return Changed<v1::RevokeKeyResponse>(*hsm, request.client_id(), hsm->custodian.Revoke(change, request.kid()));
}

Result<v1::DestroyKeyResponse> KeyAdminService::Destroy(const v1::DestroyKeyRequest& request) const {
  const auto change = KeyChangeOf(request);
  const auto hsm = HolderOf(request.client_id(), request.kid());
  RETURN_IF_ERROR(change ? hsm->custodian.Destroy(*change, request.kid()) : std::unexpected(change.error()));
  v1::DestroyKeyResponse reply;
  reply.set_version(hsm->keys.VersionOf(request.client_id()));
  return reply;
}

Result<v1::AcceptLedgerResponse> KeyAdminService::Accept(const v1::AcceptLedgerRequest& request) const {
  const auto change = LedgerChangeOf(request);
  const auto hsm = change ? HsmFor(request.hsm(), request.client_id()) : std::unexpected(change.error());
  ASSIGN_OR_RETURN(const auto accepted, hsm ? (*hsm)->custodian.AcceptLedger(*change) : std::unexpected(hsm.error()));
  v1::AcceptLedgerResponse reply;
  reply.mutable_ledger()->set_found(accepted.found);
  reply.mutable_ledger()->set_seen(accepted.seen);
  reply.mutable_ledger()->set_version(accepted.version);
  return reply;
}

Result<v1::CreateCsrResponse> KeyAdminService::Csr(const v1::CreateCsrRequest& request) const {
  RETURN_IF_ERROR(CheckKid(request));
  const auto subject = request.subject().empty() ? x509::CommonName(request.client_id()) : request.subject();
  ASSIGN_OR_RETURN(auto csr,
                   HolderOf(request.client_id(), request.kid())
                       ->custodian.CreateCsr(request.client_id(), request.kid(), subject,
                                             {request.subject_alt_names().begin(), request.subject_alt_names().end()}));
  v1::CreateCsrResponse reply;
  reply.set_csr_pem(std::move(csr));
  return reply;
}

Result<v1::CreateEvidenceResponse> KeyAdminService::Evidence(const v1::CreateEvidenceRequest& request) const {
  RETURN_IF_ERROR(CheckKid(request));
  ASSIGN_OR_RETURN(const auto found, hsms_.Find(request.client_id(), request.kid()));
  ASSIGN_OR_RETURN(auto evidence, MakeEvidence(found.hsm->token, request.client_id(), found.entry,
                                               found.hsm->keys.VersionOf(request.client_id()), Now()));
  v1::CreateEvidenceResponse reply;
  reply.set_evidence(std::move(evidence));
  return reply;
}

Result<v1::ListPendingChangesResponse> KeyAdminService::ListPending(
    const v1::ListPendingChangesRequest& /*request*/) const {
  ASSIGN_OR_RETURN(const auto changes, pending_.List());
  v1::ListPendingChangesResponse reply;
  for (const auto& change : changes) {
    *reply.add_changes() = ToProto(change);
  }
  return reply;
}

Result<v1::GetKeyResponse> KeyAdminService::Get(const v1::GetKeyRequest& request) const {
  const auto policy = policy_.load();
  RETURN_IF_ERROR(policy->FindClient(request.client_id()));
  return Changed<v1::GetKeyResponse>(*HolderOf(request.client_id(), request.kid()), request.client_id(), request.kid());
}

Result<v1::ListKeysResponse> KeyAdminService::List(const v1::ListKeysRequest& request) const {
  ASSIGN_OR_RETURN(const auto named, hsms_.Named(request.hsm()));
  v1::ListKeysResponse reply;
  const auto snapshot = named->keys.Snapshot();
  for (const auto& [client_id, keys] : *snapshot) {
    (*reply.mutable_versions())[client_id] = keys.version;
    for (const auto& hsm : request.hsm().empty() ? hsms_.All() : std::vector{named}) {
      AddKeys(*hsm, client_id, reply);
    }
  }
  return reply;
}

Result<v1::GetAuditHeadResponse> KeyAdminService::AuditHead(const v1::GetAuditHeadRequest& /*request*/) const {
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
  if (auto has_kid = CheckKid(request); !has_kid) {
    return has_kid;
  }
  auto approved =
      policy_.load()->ApproveTrial({.client_id = request.client_id(), .audience = request.audience(), .lifetime = {}});
  if (!approved) {
    return std::unexpected(approved.error());
  }
  ASSIGN_OR_RETURN(const auto found, hsms_.Find(request.client_id(), request.kid()));
  const auto& key = found.entry.key;
  const auto state = found.entry.record.StateAt(Now());
  if (state != KeyState::kPublished || !key) {
    return Fail(Code::kFailedPrecondition, "kid: the key is not one that is published and does not sign yet");
  }
  if (auto can_finish = call->CanFinish(); !can_finish) {
    return can_finish;
  }
  call->Describe(*approved);
  return found.hsm->queue.Submit({.key = key,
                                  .input = AssertionInput(key->encoded_header, *approved),
                                  .caller = call->event().caller,
                                  .deadline = std::chrono::steady_clock::now() + kLongestProof,
                                  .done = [call, hsm = found.hsm, key](Result<Signed> result) {
                                    if (result && !hsm->keys.IsGood(*key)) {
                                      result = Fail(Code::kAborted, "the key was revoked while this call waited");
                                    }
                                    if (!result) {
                                      call->Finish(std::unexpected(result.error()));
                                      return;
                                    }
                                    v1::ProveKeyResponse reply;
                                    reply.set_assertion(jws::Compact(std::move(result->input), result->signature));
                                    reply.set_client_assertion_type(kClientAssertionType);
                                    call->Finish(Serialize(reply));
                                  }});
}

KeyAdminService::KeyAdminService(const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers,
                                 AwaitedMessages& awaited, Records audit)
    : policy_(policy),
      hsms_(hsms),
      peers_(peers),
      audit_(audit),
      pending_(hsms.First()->token, [this] { return Now(); }, x509::RandomOctets) {
  const auto serve = [&](const char* method, std::function<void(UnaryCall&)> handle) {
    Serve(method, {.awaited = awaited,
                   .authenticate = [this](const auto& context) { return peers_.Authenticate(context); },
                   .admit = [this](const Caller& caller) { return policy_.load()->Admit(caller); },
                   .handle = std::move(handle)});
  };
  serve("GenerateKey",
        [this](UnaryCall& call) { Administer(call, "GenerateKey", Role::kOperator, &KeyAdminService::Generate); });
  serve("RotateKey",
        [this](UnaryCall& call) { Administer(call, "RotateKey", Role::kOperator, &KeyAdminService::Rotate); });
  serve("ImportCertificate",
        [this](UnaryCall& call) { Administer(call, "ImportCertificate", Role::kOperator, &KeyAdminService::Import); });
  serve("ScheduleKey",
        [this](UnaryCall& call) { Administer(call, "ScheduleKey", Role::kOperator, &KeyAdminService::Schedule); });
  serve("RevokeKey",
        [this](UnaryCall& call) { Administer(call, "RevokeKey", Role::kOperator, &KeyAdminService::Revoke); });
  serve("DestroyKey",
        [this](UnaryCall& call) { Administer(call, "DestroyKey", Role::kOperator, &KeyAdminService::Destroy); });
  serve("AcceptLedger",
        [this](UnaryCall& call) { Administer(call, "AcceptLedger", Role::kOperator, &KeyAdminService::Accept); });
  serve("CreateCsr",
        [this](UnaryCall& call) { Administer(call, "CreateCsr", Role::kOperator, &KeyAdminService::Csr); });
  serve("CreateEvidence",
        [this](UnaryCall& call) { Administer(call, "CreateEvidence", Role::kViewer, &KeyAdminService::Evidence); });
  serve("GetKey", [this](UnaryCall& call) { Tell(call, &KeyAdminService::Get); });
  serve("ListKeys", [this](UnaryCall& call) { Tell(call, &KeyAdminService::List); });
  serve("ListPendingChanges", [this](UnaryCall& call) { Tell(call, &KeyAdminService::ListPending); });
  serve("ApproveChange", [this](UnaryCall& call) { Decide(call, "ApproveChange", &KeyAdminService::Approve); });
  serve("WithdrawChange", [this](UnaryCall& call) { Decide(call, "WithdrawChange", &KeyAdminService::Withdraw); });
  serve("GetAuditHead", [this](UnaryCall& call) { Tell(call, &KeyAdminService::AuditHead); });
  serve("ProveKey", [this](UnaryCall& call) { ProveKey(call); });
}

}  // namespace assertion::service
