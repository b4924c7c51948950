#include "service/signing_request.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "service/message.h"
#include "service/struct_json.h"

namespace assertion::service {
namespace {

template <typename Request>
Result<std::optional<std::chrono::seconds>> LifetimeOf(const Request& request) {
  if (!request.has_lifetime()) {
    return std::nullopt;
  }
  if (request.lifetime().nanos() != 0) {
    return Fail(Code::kInvalidArgument, "lifetime: must be whole seconds");
  }
  return std::chrono::seconds(request.lifetime().seconds());
}

template <typename Reply>
void SetTimes(Reply& reply, const ApprovedClaims& approved) {
  reply.mutable_issued_at()->set_seconds(approved.issued_at().time_since_epoch().count());
  reply.mutable_expires_at()->set_seconds(approved.expires_at().time_since_epoch().count());
}

}  // namespace

void Record(const v1::CreateAssertionRequest& request, audit::Event& event) {
  event.client_id = request.client_id();
  event.audience = request.audience();
}

void Record(const v1::CreateDpopProofRequest& request, audit::Event& event) {
  event.client_id = request.client_id();
  event.htm = request.htm();
  event.htu = request.htu();
}

void Record(const v1::CreateRequestObjectRequest& request, audit::Event& event) {
  event.client_id = request.client_id();
  event.audience = request.audience();
}

Result<ApprovedClaims> Vet(const Policy& policy, const Caller& caller, const v1::CreateAssertionRequest& request) {
  ASSIGN_OR_RETURN(const auto lifetime, LifetimeOf(request));
  nlohmann::json extra_claims;
  if (request.has_extra_claims()) {
    ASSIGN_OR_RETURN(extra_claims, ToJson(request.extra_claims(), "extra_claims"));
  }
  return policy.Approve(caller, AssertionRequest{.client_id = request.client_id(),
                                                 .audience = request.audience(),
                                                 .lifetime = lifetime,
                                                 .extra_claims = request.has_extra_claims() ? &extra_claims : nullptr,
                                                 .extra_claims_json = request.extra_claims_json(),
                                                 .subject = request.subject(),
                                                 .scope = request.scope()});
}

Result<ApprovedClaims> Vet(const Policy& policy, const Caller& caller, const v1::CreateDpopProofRequest& request) {
  return policy.Approve(caller, DpopProofRequest{.client_id = request.client_id(),
                                                 .htm = request.htm(),
                                                 .htu = request.htu(),
                                                 .ath = request.ath(),
                                                 .nonce = request.nonce()});
}

Result<ApprovedClaims> Vet(const Policy& policy, const Caller& caller, const v1::CreateRequestObjectRequest& request) {
  ASSIGN_OR_RETURN(const auto lifetime, LifetimeOf(request));
  nlohmann::json claims;
  if (request.has_claims()) {
    ASSIGN_OR_RETURN(claims, ToJson(request.claims(), "claims"));
  }
  return policy.Approve(caller, RequestObjectRequest{.client_id = request.client_id(),
                                                     .audience = request.audience(),
                                                     .lifetime = lifetime,
                                                     .claims = request.has_claims() ? &claims : nullptr,
                                                     .claims_json = request.claims_json()});
}

v1::CreateAssertionResponse ReplyTo(const v1::CreateAssertionRequest& /*request*/, const ApprovedClaims& approved) {
  v1::CreateAssertionResponse reply;
  if (approved.profile()->grant == Grant::kClientAuthentication) {
    reply.set_client_assertion_type(kClientAssertionType);
  }
  reply.set_jti(approved.jti());
  SetTimes(reply, approved);
  return reply;
}

v1::CreateDpopProofResponse ReplyTo(const v1::CreateDpopProofRequest& /*request*/, const ApprovedClaims& approved) {
  v1::CreateDpopProofResponse reply;
  reply.set_jti(approved.jti());
  reply.mutable_issued_at()->set_seconds(approved.issued_at().time_since_epoch().count());
  return reply;
}

v1::CreateRequestObjectResponse ReplyTo(const v1::CreateRequestObjectRequest& /*request*/,
                                        const ApprovedClaims& approved) {
  v1::CreateRequestObjectResponse reply;
  reply.set_jti(approved.jti());
  SetTimes(reply, approved);
  return reply;
}

void SetJws(v1::CreateAssertionResponse& reply, std::string jws) { reply.set_assertion(std::move(jws)); }
void SetJws(v1::CreateDpopProofResponse& reply, std::string jws) { reply.set_proof(std::move(jws)); }
void SetJws(v1::CreateRequestObjectResponse& reply, std::string jws) { reply.set_request_object(std::move(jws)); }

grpc::ByteBuffer ToWire(v1::CreateAssertionResponse& reply, std::optional<std::uint64_t> tag) {
  if (!tag) {
    return Serialize(reply);
  }
  v1::CreateAssertionsResponse tagged;
  tagged.set_tag(*tag);
  tagged.mutable_assertion()->Swap(&reply);
  return Serialize(tagged);
}

grpc::ByteBuffer ToWire(const v1::CreateDpopProofResponse& reply, std::optional<std::uint64_t> /*tag*/) {
  return Serialize(reply);
}

grpc::ByteBuffer ToWire(const v1::CreateRequestObjectResponse& reply, std::optional<std::uint64_t> /*tag*/) {
  return Serialize(reply);
}

}  // namespace assertion::service
