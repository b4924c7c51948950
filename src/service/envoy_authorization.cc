#include "service/envoy_authorization.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "assertion/secret.h"
#include "service/deadline.h"
#include "service/front_answer.h"
#include "service/front_request.h"
#include "service/large_message.h"
#include "service/message.h"
#include "service/status.h"

namespace assertion::service {
namespace {

namespace auth = envoy::service::auth::v3;
using envoy::config::core::v3::HeaderValueOption;
using envoy::type::v3::StatusCode;

using Extensions = google::protobuf::Map<std::string, std::string>;  // context_extensions of a check

constexpr std::string_view kBearer = "bearer";
constexpr std::size_t kLongestHeaderValue = 16'384;  // Envoy refuses longer ones

// RFC 6750 section 2.1 (b64token), and nothing that could begin another header.
bool IsBearerToken(std::string_view token) {
  const auto padding = std::min(token.find('='), token.size());
  const auto is_one_of_it = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~+/").find(c) != std::string_view::npos;
  };
  return padding > 0 && std::ranges::all_of(token.substr(0, padding), is_one_of_it) &&
         std::ranges::all_of(token.substr(padding), [](char c) { return c == '='; });
}

Status FitsHeader(const tokens::AccessToken& token) {
  const auto is_same = [](char one, char other) { return (one | 0x20) == other; };  // letters differ in this bit
  if (!std::ranges::equal(token.type, kBearer, is_same)) {
    return Fail(Code::kFailedPrecondition,
                "the identity server's token_type is \"" + token.type + "\"; Envoy can only be given bearer tokens");
  }
  const auto octets = token.value.view();
  if (!IsBearerToken({reinterpret_cast<const char*>(octets.data()), octets.size()}) ||
      octets.size() + kBearer.size() >= kLongestHeaderValue) {
    return Fail(Code::kFailedPrecondition, "the identity server's access token does not fit into a header of Envoy");
  }
  return {};
}

Result<Extensions> ExtensionsOf(const UnaryCall& unary) {
  // A peer that the configuration does not name is no Envoy of ours: its message is not parsed.
  RETURN_IF_ERROR(unary.admitted());
  auth::CheckRequest check;
  RETURN_IF_ERROR(ParseLarge(unary.request(), check));
  return std::move(*check.mutable_attributes()->mutable_context_extensions());
}

std::string ClientNamedIn(const Extensions& extensions) {
  const auto found = extensions.find("client_id");
  return found == extensions.end() ? std::string() : found->second;
}

// The name of an extension that nobody reads would be a scope that is not asked for: it is an error.
Result<v1::GetAccessTokenRequest> ToTokenRequest(const Extensions& extensions) {
  v1::GetAccessTokenRequest request;
  for (const auto& [name, value] : extensions) {
    if (name == "client_id") {
      request.set_client_id(value);
    } else if (name == "scope") {
      request.set_scope(value);
    } else if (name == "resource") {
      request.set_resource(value);
    } else if (name == "minimum_validity") {
      RETURN_IF_ERROR(SetMinimumValidity(value, request));
    } else {
      return Fail(Code::kInvalidArgument,
                  "context_extensions: only client_id, scope, resource and minimum_validity are known");
    }
  }
  if (request.client_id().empty()) {
    return Fail(Code::kInvalidArgument, "context_extensions: client_id is missing");
  }
  return request;
}

HeaderValueOption& AddHeader(google::protobuf::RepeatedPtrField<HeaderValueOption>& headers, const char* name) {
  auto& option = *headers.Add();
  option.mutable_header()->set_key(name);
  option.mutable_append()->set_value(false);
  option.set_append_action(HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  return option;
}

StatusCode HttpStatusFor(const google::rpc::Status& status) {
  switch (static_cast<grpc::StatusCode>(status.code())) {
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return envoy::type::v3::TooManyRequests;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::CANCELLED:
      return envoy::type::v3::ServiceUnavailable;
    case grpc::StatusCode::INTERNAL:
      return envoy::type::v3::InternalServerError;
    default:
      return envoy::type::v3::Forbidden;
  }
}

// Without a body: it would reach the client of Envoy, whom the reason does not concern.
grpc::ByteBuffer Denied(const Error& error) {
  auth::CheckResponse response;
  *response.mutable_status() = ToStatus(error);
  auto& denied = *response.mutable_denied_response();
  denied.mutable_status()->set_code(HttpStatusFor(response.status()));
  if (const auto delay = RetryAfterOf(error); delay.count() > 0) {
    AddHeader(*denied.mutable_headers(), "retry-after").mutable_header()->set_value(std::to_string(delay.count()));
  }
  return Serialize(response);
}

grpc::ByteBuffer Allowed(v1::GetAccessTokenResponse token) {
  auth::CheckResponse response;
  response.mutable_status();
  auto& value =
      *AddHeader(*response.mutable_ok_response()->mutable_headers(), "authorization").mutable_header()->mutable_value();
  constexpr std::string_view kScheme = "Bearer ";
  value.reserve(kScheme.size() + token.access_token().size());  // growing would leave a copy behind
  value.append(kScheme).append(token.access_token());
  WipeOctets(*token.mutable_access_token());
  auto wire = SerializeSecret(response);
  WipeOctets(value);
  return wire;
}

grpc::ByteBuffer AnswerTo(const Result<grpc::ByteBuffer>& outcome) {
  if (!outcome) {
    return Denied(outcome.error());
  }
  v1::GetAccessTokenResponse token;
  const auto parsed = ParseAndWipe(*outcome, token);
  return parsed ? Allowed(std::move(token)) : Denied(parsed.error());
}

}  // namespace

EnvoyAuthorization::EnvoyAuthorization(const CurrentPolicy& policy, const AccessTokenService& tokens, Peers& peers,
                                       AwaitedMessages& awaited)
    : tokens_(tokens) {
  Serve("Check", {.awaited = awaited,
                  .authenticate = [&peers](const auto& context) { return peers.Authenticate(context); },
                  .admit = [&policy](const Caller& caller) { return policy.load()->Admit(caller); },
                  .handle = [this](UnaryCall& unary) { Check(unary); }});
}

void EnvoyAuthorization::Check(UnaryCall& unary) const {
  const auto extensions = ExtensionsOf(unary);
  tokens_.Get({.caller = unary.caller(),
               .deadline = DeadlineOf(unary.context()),
               .ticket = unary.ticket(),
               .trace_id = TraceIdOf(unary.context()),
               .client_id = extensions ? ClientNamedIn(*extensions) : std::string(),
               .release =
                   [&unary](const Result<grpc::ByteBuffer>& outcome) {
                     if (!unary.admitted()) {
                       Refuse(unary, outcome ? unary.admitted().error() : outcome.error());
                       return;
                     }
                     auto answer = AnswerTo(outcome);
                     unary.response()->Swap(&answer);
                     unary.Finish(grpc::Status::OK);
                   }},
              extensions ? ToTokenRequest(*extensions) : std::unexpected(extensions.error()), FitsHeader);
}

}  // namespace assertion::service
