#include "cli/token_request.h"

#include <cctype>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "assertion/bytes.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

constexpr const char* kTokenEndpoint = "--token-endpoint";

// Encodes all but unreserved characters (RFC 3986 section 2.1).
std::string PercentEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      encoded += "%" + Hex(AsBytes({&c, 1}));
    }
  }
  return encoded;
}

// Encodes the pairs that have a value as application/x-www-form-urlencoded (RFC 6749 appendix B).
std::string Form(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
  std::string form;
  for (const auto& [name, value] : pairs) {
    if (!value.empty()) {
      form.append(form.empty() ? "" : "&").append(name).append("=").append(PercentEncode(value));
    }
  }
  return form;
}

}  // namespace

Status CheckTokenEndpoint(const std::string& url) {
  RETURN_IF_ERROR(ParseUrl(kTokenEndpoint, url));
  return {};
}

Result<HttpAnswer> Send(const TokenRequest& request) {
  ASSIGN_OR_RETURN(const auto endpoint, ParseUrl(kTokenEndpoint, request.token_endpoint));
  return Exchange(endpoint.origin, request.ca_file,
                  {.method = "POST",
                   .path = endpoint.path,
                   .content_type = "application/x-www-form-urlencoded",
                   .body = Form({{"grant_type", request.grant_type},
                                 {"client_id", request.client_id},
                                 {"client_assertion_type", request.client_assertion_type},
                                 {"client_assertion", request.client_assertion},
                                 {"scope", request.scope},
                                 {"code", request.code},
                                 {"redirect_uri", request.redirect_uri},
                                 {"code_verifier", request.code_verifier}}),
                   .bearer_token = {}});
}

bool IsGranted(const HttpAnswer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  return answer.status == 200 && body.is_object() && body.contains("access_token") && body["access_token"].is_string();
}

std::string ReasonOf(const HttpAnswer& answer) {
  auto reason = "HTTP " + std::to_string(answer.status);
  if (answer.status == 200) {
    reason += " without an access token";
  }
  const auto body = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  for (const auto* name : {"error", "error_description"}) {
    if (body.is_object() && body.contains(name) && body[name].is_string()) {
      reason += ", " + Printable(body[name].get_ref<const std::string&>());
    }
  }
  return reason;
}

}  // namespace assertion::cli
