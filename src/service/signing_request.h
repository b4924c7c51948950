#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>
#include <string>

#include "assertion/approved_claims.h"
#include "assertion/caller.h"
#include "assertion/error.h"
#include "assertion/v1/assertion.pb.h"
#include "audit/event.h"
#include "policy/policy.h"

// The differences between the methods that sign. AssertionService::Submit is their common part.
namespace assertion::service {

// Copies what the caller asks for into the event, vetted or not.
void Record(const v1::CreateAssertionRequest& request, audit::Event& event);
void Record(const v1::CreateDpopProofRequest& request, audit::Event& event);
void Record(const v1::CreateRequestObjectRequest& request, audit::Event& event);

// Hands the request to the policy. INVALID_ARGUMENT: a field cannot be converted.
Result<ApprovedClaims> Vet(const Policy& policy, const Caller& caller, const v1::CreateAssertionRequest& request);
Result<ApprovedClaims> Vet(const Policy& policy, const Caller& caller, const v1::CreateDpopProofRequest& request);
Result<ApprovedClaims> Vet(const Policy& policy, const Caller& caller, const v1::CreateRequestObjectRequest& request);

// The reply without what the key adds: kid and JWS.
v1::CreateAssertionResponse ReplyTo(const v1::CreateAssertionRequest& request, const ApprovedClaims& approved);
v1::CreateDpopProofResponse ReplyTo(const v1::CreateDpopProofRequest& request, const ApprovedClaims& approved);
v1::CreateRequestObjectResponse ReplyTo(const v1::CreateRequestObjectRequest& request, const ApprovedClaims& approved);

void SetJws(v1::CreateAssertionResponse& reply, std::string jws);
void SetJws(v1::CreateDpopProofResponse& reply, std::string jws);
void SetJws(v1::CreateRequestObjectResponse& reply, std::string jws);

// `tag`: of a request on a stream of assertions.
grpc::ByteBuffer ToWire(v1::CreateAssertionResponse& reply, std::optional<std::uint64_t> tag);
grpc::ByteBuffer ToWire(const v1::CreateDpopProofResponse& reply, std::optional<std::uint64_t> tag);
grpc::ByteBuffer ToWire(const v1::CreateRequestObjectResponse& reply, std::optional<std::uint64_t> tag);

}  // namespace assertion::service
