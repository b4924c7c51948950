#include "service/assertion_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "keys/publication.h"
#include "service/authentication.h"
#include "service/message.h"
#include "service/status.h"
#include "service/struct_json.h"
#include "x509/certificate.h"

namespace assertion::service {
namespace {

// No call waits longer for the token, whatever its own deadline.
constexpr std::chrono::seconds kLongestWait{30};

std::chrono::steady_clock::time_point DeadlineOf(const grpc::CallbackServerContext& context) {
  // gRPC tells the time of day; a call without a deadline has one in the far future.
  const auto left = context.deadline() - std::chrono::system_clock::now();
  return std::chrono::steady_clock::now() +
         std::min<std::chrono::steady_clock::duration>(left, std::chrono::steady_clock::duration(kLongestWait));
}

Result<std::optional<std::chrono::seconds>> LifetimeOf(const v1::CreateAssertionRequest& request) {
  if (!request.has_lifetime()) {
    return std::nullopt;
  }
  if (request.lifetime().nanos() != 0) {
    return Fail(Code::kInvalidArgument, "lifetime: must be whole seconds");
  }
  return std::chrono::seconds(request.lifetime().seconds());
}

// A call whose job leaves the queue when the caller does.
class Creation final : public grpc::ServerUnaryReactor {
 public:
  const std::shared_ptr<AssertionTicket>& ticket() const { return ticket_; }
  void OnCancel() override { HsmGroup::Cancel(*ticket_); }
  void OnDone() override { delete this; }
  // gRPC asks whether it may call these where it is, instead of waking a thread of its executor for every call: neither
  // waits for anything.
  bool InternalInlineable() override { return true; }

 private:
  const std::shared_ptr<AssertionTicket> ticket_ = std::make_shared<AssertionTicket>();
};

}  // namespace

grpc::ServerUnaryReactor* AssertionService::CreateAssertion(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  auto* reactor = new Creation;  // until OnDone
  const auto call = std::make_shared<AuditedCall>(audit_, "CreateAssertion", *context, response, reactor);
  call->tallied().tally = tally_;
  if (const auto accepted = Create(*context, *request, call, reactor->ticket()); !accepted) {
    call->Finish(std::unexpected(accepted.error()));
  }
  return reactor;
}

// Once the queue has accepted the job, the call is the job's to finish.
Status AssertionService::Create(const grpc::CallbackServerContext& context, const grpc::ByteBuffer& wire,
                                const std::shared_ptr<AuditedCall>& call, std::shared_ptr<AssertionTicket> ticket) {
  auto& event = call->event();
  const auto caller = Authenticate(context);
  if (!caller) {
    return std::unexpected(caller.error());
  }
  event.caller = caller->name();
  v1::CreateAssertionRequest request;
  if (auto parsed = Parse(wire, request); !parsed) {
    return parsed;
  }
  event.client_id = request.client_id();
  event.audience = request.audience();
  const auto lifetime = LifetimeOf(request);
  if (!lifetime) {
    return std::unexpected(lifetime.error());
  }
  const auto extra_claims = ToJson(request.extra_claims());
  if (!extra_claims) {
    return std::unexpected(extra_claims.error());
  }
  const auto policy = policy_.load();
  auto approved = policy->Approve(*caller, {.client_id = request.client_id(),
                                            .audience = request.audience(),
                                            .lifetime = *lifetime,
                                            .extra_claims = &*extra_claims});
  if (approved || policy->FindClient(request.client_id())) {
    call->tallied().client_id = request.client_id();
  }
  if (!approved) {
    return std::unexpected(approved.error());
  }
  if (auto can_finish = call->CanFinish(); !can_finish) {
    return can_finish;
  }
  call->Describe(*approved);

  v1::CreateAssertionResponse reply;
  reply.set_client_assertion_type(kClientAssertionType);
  reply.set_jti(approved->jti());
  reply.mutable_issued_at()->set_seconds(approved->issued_at().time_since_epoch().count());
  reply.mutable_expires_at()->set_seconds(approved->expires_at().time_since_epoch().count());
  return hsms_.Submit({.client_id = request.client_id(),
                       .claims = std::move(*approved).TakeJson(),
                       .caller = caller->name(),
                       .deadline = DeadlineOf(context),
                       .done =
                           [reply = std::move(reply), call](Result<Assertion> made) mutable {
                             if (!made) {
                               call->Finish(std::unexpected(made.error()));
                               return;
                             }
                             call->event().kid = made->key->kid;
                             call->tallied().algorithm = made->key->algorithm->name;
                             reply.set_kid(made->key->kid);
                             reply.set_assertion(std::move(made->jws));
                             call->Finish(Serialize(reply));
                           },
                       .ticket = std::move(ticket)});
}

grpc::ServerUnaryReactor* AssertionService::GetCertificate(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  auto* reactor = context->DefaultReactor();
  Answer(reactor, response, Certificate(*context, *request));
  return reactor;
}

grpc::ServerUnaryReactor* AssertionService::GetJwks(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* reactor = context->DefaultReactor();
  Answer(reactor, response, Jwks(*context, *request));
  return reactor;
}

Result<v1::GetCertificateResponse> AssertionService::Certificate(const grpc::CallbackServerContext& context,
                                                                 const grpc::ByteBuffer& wire) const {
  v1::GetCertificateRequest request;
  const auto caller = Authenticate(context);
  if (!caller) {
    return std::unexpected(caller.error());
  }
  if (const auto parsed = Parse(wire, request); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (const auto client = policy_.load()->FindForReading(*caller, request.client_id()); !client) {
    return std::unexpected(client.error());
  }
  const auto found = hsms_.Find(request.client_id(), request.kid());
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto& [record, key, flaw] = found->entry;
  if (!key || key->chain.empty()) {
    return Fail(Code::kFailedPrecondition, "the key of client '" + request.client_id() + "' has no certificate");
  }
  const auto& chain = key->chain;
  v1::GetCertificateResponse reply;
  reply.set_pem(x509::ToPem(chain));
  for (const auto& certificate : chain) {
    reply.add_chain_der(certificate.der.data(), certificate.der.size());
  }
  reply.set_der(reply.chain_der(0));
  reply.set_x5t_s256(jws::Sha256Thumbprint(chain.front().der));
  reply.mutable_not_before()->set_seconds(chain.front().not_before.time_since_epoch().count());
  reply.mutable_not_after()->set_seconds(chain.front().not_after.time_since_epoch().count());
  reply.set_kid(record.kid);
  return reply;
}

Result<v1::GetJwksResponse> AssertionService::Jwks(const grpc::CallbackServerContext& context,
                                                   const grpc::ByteBuffer& wire) const {
  v1::GetJwksRequest request;
  const auto caller = Authenticate(context);
  if (!caller) {
    return std::unexpected(caller.error());
  }
  if (const auto parsed = Parse(wire, request); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (const auto client = policy_.load()->FindForReading(*caller, request.client_id()); !client) {
    return std::unexpected(client.error());
  }
  const auto keys = hsms_.KeysOf(request.client_id());
  if (keys.keys.empty()) {
    return Fail(Code::kFailedPrecondition, "client '" + request.client_id() +
                                               "' has no key on the token yet: assertionctl key generate --client-id " +
                                               request.client_id());
  }
  v1::GetJwksResponse reply;
  reply.set_jwks(JwkSet(keys, hsms_.First()->keys.Now()));
  return reply;
}

}  // namespace assertion::service
