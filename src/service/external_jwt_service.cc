#include "service/external_jwt_service.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "keys/key_reading.h"
#include "service/deadline.h"
#include "service/message.h"
#include "service/status.h"
#include "x509/verifier.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kPurpose = "kubernetes";

// A key counts from the moment on at which its publication is decided. One that nobody has decided to publish verifies
// nothing.
bool Verifies(const ScheduledKey& entry, Time now) {
  return entry.key && KubernetesSigner::Takes(*entry.key->algorithm) && entry.record.publish_from != kNever &&
         now < entry.record.publish_until;
}

// How long kube-apiserver may keep the keys: a new one must reach it before the key signs, and a revoked one must leave
// it soon.
seconds RefreshHint(const Client& ring, steady_clock::duration counts_for) {
  constexpr seconds kLongest{60};
  return std::max(seconds(1), std::min({kLongest, ring.publish_lead / 2, std::chrono::floor<seconds>(counts_for)}));
}

void SetTimestamp(google::protobuf::Timestamp& timestamp, std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<seconds>(time);
  timestamp.set_seconds(whole.time_since_epoch().count());
  timestamp.set_nanos(static_cast<int>(std::chrono::duration_cast<std::chrono::nanoseconds>(time - whole).count()));
}

// kube-apiserver puts its own claims between the two parts.
::v1::SignJWTResponse PartsOf(std::string_view jws) {
  ::v1::SignJWTResponse reply;
  reply.set_header(std::string(jws.substr(0, jws.find('.'))));
  reply.set_signature(std::string(jws.substr(jws.rfind('.') + 1)));
  return reply;
}

}  // namespace

ExternalJwtService::ExternalJwtService(const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers,
                                       AwaitedMessages& awaited, Records audit, AssertionTally* tally)
    : policy_(policy), hsms_(hsms), peers_(peers), audit_(audit), tally_(tally) {
  const auto serve = [&](const char* method, std::function<void(UnaryCall&)> handle) {
    Serve(method, {.awaited = awaited,
                   .authenticate = [this](const auto& context) { return peers_.Authenticate(context); },
                   .admit = [this](const Caller& caller) { return policy_.load()->AdmitKubernetes(caller); },
                   .handle = std::move(handle)});
  };
  serve("Sign", [this](UnaryCall& call) { CreateToken(call); });
  serve("FetchKeys",
        [this](UnaryCall& call) { Read<::v1::FetchKeysRequest>(call, "FetchKeys", &ExternalJwtService::Keys); });
  serve("Metadata",
        [this](UnaryCall& call) { Read<::v1::MetadataRequest>(call, "Metadata", &ExternalJwtService::Longest); });
}

void ExternalJwtService::CreateToken(UnaryCall& unary) const {
  const auto call = std::make_shared<AuditedCall>(audit_, "Sign", unary);
  call->tallied().tally = tally_;
  if (const auto accepted = Submit(unary, call); !accepted) {
    call->Finish(std::unexpected(accepted.error()));
  }
}

// The steps are those of an assertion: deploy/docs/data-way.md. Once the queue has accepted the job, it finishes the
// call.
Status ExternalJwtService::Submit(UnaryCall& unary, const Call& call) const {
  const auto policy = policy_.load();
  auto& event = call->event();
  if (unary.caller()) {
    event.caller = unary.caller()->name();
  }
  if (const auto* const signer = policy->kubernetes()) {
    event.client_id = signer->client_id;
    call->tallied().client_id = signer->client_id;
  }
  event.purpose = kPurpose;
  RETURN_IF_ERROR(unary.admitted());
  ::v1::SignJWTRequest request;
  RETURN_IF_ERROR(Parse(unary.request(), request));
  ASSIGN_OR_RETURN(auto approved, policy->ApproveServiceAccountToken(*unary.caller(), request.claims()));
  RETURN_IF_ERROR(call->CanFinish());
  call->Describe(approved);
  event.purpose = kPurpose;
  event.expires_at = approved.expires_at();
  return hsms_.Submit({.claims = std::move(approved),
                       .caller = unary.caller()->name(),
                       .deadline = DeadlineOf(unary.context()),
                       .done =
                           [call](Result<Assertion> made) {
                             if (made && !KubernetesSigner::Takes(*made->key->algorithm)) {
                               made = Fail(Code::kFailedPrecondition,
                                           "the key signs with " + std::string(made->key->algorithm->name) +
                                               ", which kube-apiserver does not accept: rotate it");
                             }
                             if (!made) {
                               call->Finish(std::unexpected(made.error()));
                               return;
                             }
                             call->Describe(*made->key);
                             call->Finish(Serialize(PartsOf(made->jws)));
                           },
                       .ticket = unary.ticket()});
}

template <typename Request, typename Response>
void ExternalJwtService::Read(UnaryCall& unary, const char* method,
                              Result<Response> (ExternalJwtService::*read)() const) const {
  if (!unary.admitted()) {
    const auto call = std::make_shared<AuditedCall>(audit_, method, unary);
    call->event().caller = unary.caller() ? unary.caller()->name() : "";
    call->event().purpose = kPurpose;
    call->Finish(std::unexpected(unary.admitted().error()));
    return;
  }
  Request request;
  const auto parsed = Parse(unary.request(), request);
  Respond(unary, parsed ? (this->*read)() : std::unexpected(parsed.error()));
}

Result<::v1::FetchKeysResponse> ExternalJwtService::Keys() const {
  const auto client_id = policy_.load()->kubernetes()->client_id;
  const auto ring = hsms_.First()->keys.FindClient(client_id);
  const auto counts_for = hsms_.CountsUntil(client_id) - steady_clock::now();
  if (!ring || counts_for <= counts_for.zero()) {
    return Fail(Code::kUnavailable, "the keys could not be read from the HSM for most of publish_lead; try again");
  }
  ::v1::FetchKeysResponse reply;
  const auto now = hsms_.First()->keys.Now();
  for (const auto& entry : hsms_.KeysOf(client_id).keys) {
    if (Verifies(entry, now)) {
      auto& key = *reply.add_keys();
      const auto der = x509::SubjectPublicKeyInfo(entry.key->public_key);
      key.set_key_id(entry.key->kid);
      key.set_key(der.data(), der.size());
      key.set_exclude_from_oidc_discovery(!entry.record.PublishedAt(now));
    }
  }
  if (reply.keys().empty()) {
    return Fail(Code::kFailedPrecondition,
                "no key verifies service account tokens yet: assertionctl key generate --client-id " + client_id);
  }
  const auto age = std::max<steady_clock::duration>(LookCountsFor(*ring) - counts_for, steady_clock::duration(0));
  SetTimestamp(*reply.mutable_data_timestamp(), std::chrono::system_clock::now() - age);
  reply.set_refresh_hint_seconds(RefreshHint(*ring, counts_for).count());
  return reply;
}

Result<::v1::MetadataResponse> ExternalJwtService::Longest() const {
  ::v1::MetadataResponse reply;
  reply.set_max_token_expiration_seconds(policy_.load()->kubernetes()->max_lifetime.count());
  return reply;
}

}  // namespace assertion::service
