#include "oauth/token_request.h"

#include "assertion/foreign_text.h"
#include "jws/foreign_json.h"
#include "oauth/form.h"

namespace assertion::oauth {
namespace {

constexpr const char* kTokenEndpoint = "--token-endpoint";
constexpr std::size_t kMostOfReason = 500;

}  // namespace

Status CheckTokenEndpoint(const std::string& url) {
  RETURN_IF_ERROR(ParseUrl(kTokenEndpoint, url));
  return {};
}

Result<HttpAnswer> Send(const TokenRequest& request) {
  ASSIGN_OR_RETURN(const auto endpoint, ParseUrl(kTokenEndpoint, request.token_endpoint));
  return PostForm(endpoint, request.ca_file,
                  {{"grant_type", request.grant_type},
                   {"client_id", request.client_id},
                   {"client_assertion_type", request.client_assertion_type},
                   {"client_assertion", request.client_assertion},
                   {"scope", request.scope},
                   {"code", request.code},
                   {"redirect_uri", request.redirect_uri},
                   {"code_verifier", request.code_verifier}});
}

bool IsGranted(const HttpAnswer& answer) {
  const auto body = jws::ParseForeign(answer.body);
  return answer.status == 200 && body.is_object() && body.contains("access_token") && body["access_token"].is_string();
}

std::string ReasonOf(const HttpAnswer& answer) {
  auto reason = "HTTP " + std::to_string(answer.status);
  if (answer.status == 200) {
    reason += " without an access token";
  }
  const auto body = jws::ParseForeign(answer.body);
  for (const auto* name : {"error", "error_description"}) {
    if (body.is_object() && body.contains(name) && body[name].is_string()) {
      reason += ", " + Quoted(body[name].get_ref<const std::string&>(), kMostOfReason);
    }
  }
  return reason;
}

}  // namespace assertion::oauth
