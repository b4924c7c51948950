#include "cli/token_request.h"

#include <httplib.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "cli/text.h"

namespace assertion::cli {
namespace {

constexpr std::chrono::seconds kLimit{15};

struct Endpoint {
  std::string origin;  // scheme://host[:port]
  std::string path;    // with query
};

bool IsLoopback(std::string_view origin) {
  auto host = origin.substr(origin.find("://") + 3);
  if (host.starts_with('[')) {
    return host.starts_with("[::1]");
  }
  host = host.substr(0, host.find(':'));
  // 127.0.0.0/8 in digits only: a name may begin with 127 too.
  return host == "localhost" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

Result<Endpoint> ParseEndpoint(const std::string& url) {
  const bool https = url.starts_with("https://");
  if (!https && !url.starts_with("http://")) {
    return Fail(Code::kInvalidArgument, "--token-endpoint must be an https:// URL");
  }
  const auto host = url.find("://") + 3;
  const auto path = url.find_first_of("/?#", host);
  Endpoint endpoint{.origin = url.substr(0, path), .path = path == std::string::npos ? "/" : url.substr(path)};
  if (path == host || endpoint.origin.find('@') != std::string::npos || endpoint.path.find('#') != std::string::npos ||
      endpoint.path.front() != '/') {
    return Fail(Code::kInvalidArgument, "--token-endpoint must be https://host[:port]/path, without user or fragment");
  }
  if (!https && !IsLoopback(endpoint.origin)) {
    return Fail(Code::kInvalidArgument, "--token-endpoint must be https:// unless the host is a loopback address");
  }
  return endpoint;
}

}  // namespace

Status CheckTokenEndpoint(const std::string& url) {
  const auto endpoint = ParseEndpoint(url);
  return endpoint ? Status() : std::unexpected(endpoint.error());
}

Result<TokenAnswer> Send(const TokenRequest& request) {
  const auto endpoint = ParseEndpoint(request.token_endpoint);
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  httplib::Params form;
  for (const auto& [name, value] : {std::pair{"grant_type", &request.grant_type},
                                    {"client_id", &request.client_id},
                                    {"client_assertion_type", &request.client_assertion_type},
                                    {"client_assertion", &request.client_assertion},
                                    {"scope", &request.scope},
                                    {"code", &request.code},
                                    {"redirect_uri", &request.redirect_uri},
                                    {"code_verifier", &request.code_verifier}}) {
    if (!value->empty()) {
      form.emplace(name, *value);
    }
  }
  httplib::Client client(endpoint->origin);
  client.set_connection_timeout(kLimit);
  client.set_read_timeout(kLimit);
  client.set_write_timeout(kLimit);
  client.set_follow_location(false);  // an assertion is not handed on to whom a redirect names
  client.enable_server_certificate_verification(true);
  if (!request.ca_file.empty()) {
    client.set_ca_cert_path(request.ca_file);
  }
  const auto answer = client.Post(endpoint->path, {{"Accept", "application/json"}}, form);
  if (!answer) {
    return Fail(Code::kUnavailable, "no answer from " + endpoint->origin + ": " + httplib::to_string(answer.error()));
  }
  return TokenAnswer{.status = answer->status, .body = answer->body};
}

bool IsGranted(const TokenAnswer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  return answer.status == 200 && body.is_object() && body.contains("access_token") && body["access_token"].is_string();
}

std::string ReasonOf(const TokenAnswer& answer) {
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
