// The claims of a request object (RFC 9101 section 4).

#include "assertion/request_object.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jws/object_text.h"
#include "policy/jti.h"
#include "policy/policy.h"
#include "policy/requested.h"

namespace assertion {
namespace {

Status AllowParameter(const Client& client, std::string_view name, const std::string& field) {
  if (const auto* const reserved = FindReservedParameter(name); reserved != nullptr) {
    return Fail(Code::kInvalidArgument, field + ": " + QuotedRequest(name) + " " + std::string(reserved->why));
  }
  return client.request_object.claims.contains(name)
             ? Status()
             : Fail(Code::kInvalidArgument, field + ": " + QuotedRequest(name) +
                                                " is not among the request_object.claims of client " +
                                                QuotedRequest(client.client_id));
}

// `members`: the vetted parameters as JSON, without braces.
Status CheckRedirectUri(const Client& client, const std::string& members) {
  const auto& allowed = client.request_object.redirect_uris;
  if (allowed.empty()) {
    return {};
  }
  const auto object = '{' + members + '}';
  ASSIGN_OR_RETURN(const auto parsed, jws::ParseObjectText(object));
  const auto wanted = parsed.Find("redirect_uri");
  const auto value = wanted ? nlohmann::json::parse(*wanted, nullptr, /*allow_exceptions=*/false) : nlohmann::json();
  const bool fits =
      value.is_string() && std::ranges::find(allowed, value.get_ref<const std::string&>()) != allowed.end();
  return !wanted || fits
             ? Status()
             : Fail(Code::kInvalidArgument, "redirect_uri: " + QuotedRequest(*wanted) +
                                                " is not among the request_object.redirect_uris of client " +
                                                QuotedRequest(client.client_id) + "; it must match octet for octet");
}

}  // namespace

Result<ApprovedClaims> Policy::Claims(const Entry& entry, const RequestObjectRequest& request) const {
  const auto& client = *entry.client;
  ASSIGN_OR_RETURN(const auto audience, RequestedAudience(client, request.audience));
  ASSIGN_OR_RETURN(const auto lifetime, RequestedLifetime(client, request.lifetime));
  ASSIGN_OR_RETURN(const auto parameters,
                   RequestedClaims({.field = "claims", .object = request.claims, .json = request.claims_json},
                                   [&](std::string_view name, const std::string& field) {
                                     return AllowParameter(client, name, field);
                                   }));
  RETURN_IF_ERROR(CheckRedirectUri(client, parameters));
  ASSIGN_OR_RETURN(auto jti, NewJti(JtiForm::kUuid, 0, random_));

  ApprovedClaims approved;
  approved.client_id_ = client.client_id;
  approved.profile_ = entry.ProfileFor(Purpose::kRequestObject);
  approved.audience_ = client.audiences.at(audience);
  approved.jti_ = std::move(jti);
  approved.issued_at_ = clock_() - approved.profile_->backdate;
  approved.expires_at_ = approved.issued_at_ + lifetime;
  // iss and client_id are the same (RFC 9101 section 4), and there is no sub: see kReservedParameters.
  const auto issuer = ParseTemplate(client.profile.issuer).value_or(std::vector<TemplatePiece>());
  Beginning beginning;
  beginning.Add("iss", issuer, client);
  beginning.Add("client_id", issuer, client);
  beginning.AddAudience(client, approved.audience_);
  approved.gaps_ = std::move(beginning.gaps);
  const auto issued_at = std::to_string(approved.issued_at_.time_since_epoch().count());
  approved.json_ = std::move(beginning.text) + ",\"iat\":" + issued_at + ",\"nbf\":" + issued_at +
                   ",\"exp\":" + std::to_string(approved.expires_at_.time_since_epoch().count()) + ",\"jti\":\"" +
                   approved.jti_ + '"';
  approved.json_.append(parameters.empty() ? "" : ",").append(parameters).append(1, '}');
  return approved;
}

}  // namespace assertion
