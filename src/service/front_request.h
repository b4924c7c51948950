#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/v1/access_token.pb.h"
#include "assertion/v1/assertion.pb.h"

// Requests of the HTTP front as messages of the gRPC methods that they stand for.
namespace assertion::service {

// The part of a request target (RFC 9112 section 3.2) before the first '?', and what follows it.
struct FrontTarget {
  std::string_view path;
  std::string_view query;
};
FrontTarget SplitTarget(std::string_view target);

// Sets the minimum validity from seconds in decimal digits. INVALID_ARGUMENT: the text is no number.
Status SetMinimumValidity(const std::string& text, v1::GetAccessTokenRequest& request);

// GET /clients/{client_id}/token?scope=&resource=&minimum_validity=. INVALID_ARGUMENT: a parameter is unknown,
// repeated, or cannot be decoded; the query is application/x-www-form-urlencoded.
Result<v1::GetAccessTokenRequest> ToTokenRequest(std::string client_id, std::string_view query);

// GET /clients/{client_id}/assertion?audience=. INVALID_ARGUMENT: the same.
Result<v1::CreateAssertionRequest> ToAssertionRequest(std::string client_id, std::string_view query);

}  // namespace assertion::service
