#include "cli/wso2/application.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "jws/foreign_json.h"
#include "x509/certificate.h"

namespace assertion::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kApiPath = "/api/server/v1";
constexpr std::string_view kOidc = "/inbound-protocols/oidc";

// A member that is a string; "" when there is none.
std::string Text(const Json& object, const char* name) {
  const auto member = object.is_object() ? object.find(name) : object.end();
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

// A member that is an object; an empty one when there is none.
Json Object(const Json& object, const char* name) {
  const auto member = object.is_object() ? object.find(name) : object.end();
  return member != object.end() && member->is_object() ? *member : Json::object();
}

Code CodeOf(int http_status) {
  switch (http_status) {
    case 400:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kAborted;
    default:
      return Code::kInternal;
  }
}

// The server's reasons: code, message, description and traceId, as far as the answer has them.
std::string Reasons(const std::string& body) {
  constexpr std::size_t kMost = 300;
  const auto error = jws::ParseForeign<Json>(body);
  std::string reasons;
  for (const auto* name : {"code", "message", "description", "traceId"}) {
    if (const auto text = Text(error, name); !text.empty()) {
      reasons += std::string(", ") + name + " " + text.substr(0, kMost);
    }
  }
  return reasons;
}

}  // namespace

Result<Wso2Certificate> Wso2Certificate::FromDer(BytesView leaf) {
  ASSIGN_OR_RETURN(auto certificate, x509::ParseCertificate(leaf));
  auto pem = x509::ToPem(std::array{std::move(certificate)});
  pem.erase(pem.find_last_not_of('\n') + 1);
  return Wso2Certificate{.type = "PEM", .value = std::move(pem)};
}

bool Wso2Certificate::IsStoredAs(const Wso2Certificate& stored) const {
  if (stored.type != type) {
    return false;
  }
  if (stored.value == value) {
    return true;
  }
  const auto ours = x509::ParsePem(value);
  const auto theirs = x509::ParsePem(stored.value);
  return type == "PEM" && ours && theirs && ours->der == theirs->der && stored.value.starts_with('-');
}

Result<Wso2Application> Wso2Application::New(Wso2Settings settings) {
  ASSIGN_OR_RETURN(auto base, oauth::ParseUrl("--base-url", settings.base_url));
  if (base.path.contains('?')) {
    return Fail(Code::kInvalidArgument, "--base-url must not have a query");
  }
  base.path.erase(base.path.find_last_not_of('/') + 1);
  if (!base.path.ends_with(kApiPath)) {
    base.path += kApiPath;  // the server itself, or a tenant's /t/NAME
  }
  // WSO2's ids are UUIDs, or SHA-1 in hexadecimal: no character in them can change the path.
  const auto is_id = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; };
  if (settings.application.empty() || settings.application.size() > 64 ||
      !std::ranges::all_of(settings.application, is_id)) {
    return Fail(Code::kInvalidArgument, "--application must be the application's id: letters, digits and hyphens");
  }
  return Wso2Application(std::move(settings), std::move(base));
}

Result<Json> Wso2Application::Call(const std::string& method, const std::string& path, const Json& body) const {
  const auto whole_path = base_.path + "/applications/" + settings_.application + path;
  const auto what = method + " " + whole_path;
  ASSIGN_OR_RETURN(const auto answer, oauth::Exchange(base_.origin, settings_.ca_file,
                                                      {.method = method,
                                                       .path = whole_path,
                                                       .content_type = body.is_null() ? "" : "application/json",
                                                       .body = body.is_null() ? "" : body.dump(),
                                                       .bearer_token = settings_.token}));
  if (answer.status != 200 && answer.status != 201) {
    return Fail(CodeOf(answer.status),
                "WSO2 answers " + what + " with HTTP " + std::to_string(answer.status) + Reasons(answer.body));
  }
  auto json = jws::ParseForeign<Json>(answer.body);
  if (method == "GET" && !json.is_object()) {
    return Fail(Code::kInternal, "WSO2 answers " + what + " with something that is not a JSON object");
  }
  return json;
}

Result<Json> Wso2Application::Get(const std::string& path) const {
  ASSIGN_OR_RETURN(auto object, Call("GET", path, nullptr));
  RETURN_IF_ERROR(CheckClient(object));
  return object;
}

// Older servers leave the client id out of the application; its OpenID Connect configuration has it.
Status Wso2Application::CheckClient(const Json& object) const {
  const auto client_id = Text(object, "clientId");
  if (!client_id.empty() && client_id != settings_.client_id) {
    return Fail(Code::kFailedPrecondition, "application " + settings_.application + " belongs to client " + client_id +
                                               ", not to " + settings_.client_id);
  }
  return {};
}

Result<Wso2Certificate> Wso2Application::ReadCertificate() const {
  ASSIGN_OR_RETURN(const auto application, Get(""));
  const auto certificate = Object(Object(application, "advancedConfigurations"), "certificate");
  return Wso2Certificate{.type = Text(certificate, "type"), .value = Text(certificate, "value")};
}

Status Wso2Application::Publish(const Wso2Certificate& certificate) const {
  Json change;
  change["advancedConfigurations"]["certificate"] = {{"type", certificate.type}, {"value", certificate.value}};
  RETURN_IF_ERROR(Call("PATCH", "", change));
  const auto stored = ReadCertificate();
  if (!stored) {
    return Fail(stored.error().code, "sent, but not read back: " + stored.error().message);
  }
  if (!certificate.IsStoredAs(*stored)) {
    const auto found = stored->type.empty() ? "none" : "another, of type " + stored->type;
    return Fail(Code::kFailedPrecondition, "WSO2 said yes to the new " + certificate.type +
                                               " certificate, but read back application " + settings_.application +
                                               " has " + found);
  }
  return {};
}

Status Wso2Application::UsePrivateKeyJwt() const {
  const std::string path(kOidc);
  ASSIGN_OR_RETURN(const auto configuration, Get(path));
  auto wanted = configuration;
  auto& authentication = wanted["clientAuthentication"];
  if (!authentication.is_object()) {
    authentication = Json::object();
  }
  authentication["tokenEndpointAuthMethod"] = "private_key_jwt";
  authentication["tokenEndpointAllowReusePvtKeyJwt"] = false;  // mandatory from 7.1 on
  if (wanted == configuration) {
    return {};
  }
  RETURN_IF_ERROR(Call("PUT", path, wanted));
  const auto stored = Get(path);
  if (!stored) {
    return Fail(stored.error().code, "sent, but not read back: " + stored.error().message);
  }
  const auto read_back = Object(*stored, "clientAuthentication");
  if (Text(read_back, "tokenEndpointAuthMethod") != "private_key_jwt" ||
      read_back.value("tokenEndpointAllowReusePvtKeyJwt", Json(false)) != false) {
    return Fail(Code::kFailedPrecondition, "WSO2 said yes to private_key_jwt, but read back application " +
                                               settings_.application + " authenticates otherwise");
  }
  return {};
}

std::string Wso2Remedy(const Error& error) {
  switch (error.code) {
    case Code::kUnavailable:
      return "check --base-url, and --ca-file for a certificate that this machine does not know; then run it again";
    case Code::kInvalidArgument:
      return "the reason is WSO2's own; its log has more under the traceId";
    case Code::kUnauthenticated:
      return "put a fresh access token into --token-file, with the scopes internal_application_mgt_view and "
             "internal_application_mgt_update; this one has expired, was revoked or is of another server";
    case Code::kPermissionDenied:
      return "the token needs the scopes internal_application_mgt_view and internal_application_mgt_update, and its "
             "owner the right to change this application";
    case Code::kNotFound:
      return "correct --application (its id, not its client id), or the tenant in --base-url";
    case Code::kAborted:
      return "another change of the application is in progress: run it again";
    case Code::kFailedPrecondition:
      return "look at the application in WSO2's console, and at --application and --client-id";
    default:
      return "check --base-url; WSO2's log has more under the traceId";
  }
}

}  // namespace assertion::cli
