#include "oauth/metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "assertion/foreign_text.h"
#include "jws/compact.h"
#include "jws/foreign_json.h"

namespace assertion::oauth {
namespace {

using nlohmann::json;

constexpr std::size_t kMostOfMetadata = 300;
constexpr int kHttpOk = 200;

std::unexpected<Error> Differs(const std::string& what) { return Fail(Code::kFailedPrecondition, what); }

template <typename Json>
std::string StringMember(const Json& metadata, const char* name) {
  const auto found = metadata.find(name);
  return found != metadata.end() && found->is_string() ? found->template get<std::string>() : std::string();
}

std::optional<std::vector<std::string>> ListMember(const json& metadata, const char* name) {
  const auto found = metadata.find(name);
  if (found == metadata.end() || !found->is_array()) {
    return std::nullopt;
  }
  std::vector<std::string> list;
  for (const auto& entry : *found) {
    if (entry.is_string()) {
      list.push_back(entry.get<std::string>());
    }
  }
  return list;
}

bool Has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::ranges::find(list, wanted) != list.end();
}

std::string Listed(const std::vector<std::string>& list) {
  std::string text;
  for (const auto& entry : list) {
    text.append(text.empty() ? "" : ", ").append(entry);
  }
  return text.empty() ? "nothing" : Shown(text, kMostOfMetadata);
}

// The audiences that the server may take for an assertion that is sent to `endpoint`: its issuer, and the endpoint.
// With --par the token endpoint as well (RFC 9126 section 2), but only one of the same server: a server that names
// another's token endpoint would otherwise get an assertion that the other takes.
std::vector<std::string> AudiencesOf(const ServerMetadata& metadata, const std::string& endpoint) {
  std::vector<std::string> audiences = {metadata.issuer, endpoint};
  const auto token = ParseUrl("token_endpoint", metadata.token_endpoint);
  const auto own = ParseUrl("endpoint", endpoint);
  if (metadata.token_endpoint != endpoint && token && own && token->origin == own->origin) {
    audiences.push_back(metadata.token_endpoint);
  }
  return audiences;
}

Status CheckGrantAndMethod(const ServerMetadata& metadata, const PlannedRequest& request) {
  const auto& grants = metadata.grant_types;
  if (grants && !request.grant_type.empty() && !Has(*grants, request.grant_type)) {
    return Differs("the server's grant_types_supported is " + Listed(*grants) + ", without " + request.grant_type +
                   ": choose another --grant, or turn this one on at the server");
  }
  const auto& methods = metadata.authentication_methods;
  if (request.authenticates && (!methods || !Has(*methods, "private_key_jwt"))) {
    return Differs(
        "the server's token_endpoint_auth_methods_supported is " +
        (methods ? Listed(*methods) : std::string("missing, which means client_secret_basic (RFC 8414 section 2)")) +
        "; client " + Quoted(request.client_id, kMostOfMetadata) +
        " authenticates by private_key_jwt: turn it on at the server");
  }
  return {};
}

// Servers may leave the list out, although RFC 8414 section 2 asks for it; there is nothing to compare then.
Status CheckAlgorithm(const ServerMetadata& metadata, const PlannedRequest& request, const std::string& algorithm) {
  const auto& algorithms = metadata.signing_algorithms;
  if (!algorithms || Has(*algorithms, algorithm)) {
    return {};
  }
  return Differs("the server's token_endpoint_auth_signing_alg_values_supported is " + Listed(*algorithms) +
                 "; client " + Quoted(request.client_id, kMostOfMetadata) + " signs with " + algorithm +
                 ": set clients[].algorithm to one of these and rotate the key (assertionctl key rotate)");
}

Status CheckAudience(const ServerMetadata& metadata, const PlannedRequest& request, const jws::Unverified& assertion) {
  auto accepted = AudiencesOf(metadata, request.endpoint);
  if (StringMember(assertion.header, "typ") == "client-authentication+jwt") {
    accepted.resize(1);  // draft-ietf-oauth-rfc7523bis: the issuer alone
  }
  const auto aud = assertion.claims.find("aud");
  auto audiences = json::array();
  if (aud != assertion.claims.end()) {
    audiences = aud->is_array() ? json(*aud) : json::array({json(*aud)});
  }
  const bool fits = !audiences.empty() && std::ranges::all_of(audiences, [&](const json& audience) {
    return audience.is_string() && Has(accepted, audience.get_ref<const std::string&>());
  });
  if (fits) {
    return {};
  }
  return Differs("the server takes as audience " + Listed(accepted) + "; the assertion of client " +
                 Quoted(request.client_id, kMostOfMetadata) + " has " +
                 (audiences.empty() ? "none" : Shown(aud->dump(), kMostOfMetadata)) + ": give --audience " +
                 Shown(metadata.issuer, kMostOfMetadata) + ", which clients[].audiences must list");
}

}  // namespace

std::vector<std::string> MetadataPaths(std::string_view issuer_path) {
  std::string path(issuer_path);
  if (path.ends_with('/')) {
    path.pop_back();
  }
  return {"/.well-known/oauth-authorization-server" + path, path + "/.well-known/openid-configuration"};
}

Result<ServerMetadata> ParseMetadata(const std::string& option, const std::string& issuer, const HttpAnswer& answer) {
  const auto metadata = jws::ParseForeign(answer.body);
  if (answer.status != kHttpOk || !metadata.is_object()) {
    return Fail(Code::kNotFound, "no metadata");
  }
  ServerMetadata read{
      .issuer = StringMember(metadata, "issuer"),
      .token_endpoint = StringMember(metadata, "token_endpoint"),
      .pushed_authorization_request_endpoint = StringMember(metadata, "pushed_authorization_request_endpoint"),
      .authorization_endpoint = StringMember(metadata, "authorization_endpoint"),
      .grant_types = ListMember(metadata, "grant_types_supported"),
      .authentication_methods = ListMember(metadata, "token_endpoint_auth_methods_supported"),
      .signing_algorithms = ListMember(metadata, "token_endpoint_auth_signing_alg_values_supported"),
      .jwks_uri = StringMember(metadata, "jwks_uri"),
      .userinfo_endpoint = StringMember(metadata, "userinfo_endpoint"),
      .names_issuer_in_responses = metadata.value("authorization_response_iss_parameter_supported", json()) == true};
  if (read.issuer != issuer) {  // RFC 8414 section 3.3
    return Fail(Code::kFailedPrecondition,
                "the server says that its issuer is " + Quoted(read.issuer, kMostOfMetadata) + ", and " + option +
                    " is " + Quoted(issuer, kMostOfMetadata) + ": they must be equal, octet for octet");
  }
  return read;
}

Result<Url> ParseIssuer(const std::string& option, const std::string& issuer) {
  ASSIGN_OR_RETURN(auto url, ParseUrl(option, issuer));
  if (issuer.contains('?')) {
    return Fail(Code::kInvalidArgument, option + " must be a URL without query (RFC 8414 section 2)");
  }
  return url;
}

Result<ServerMetadata> FetchMetadata(const std::string& option, const std::string& issuer, const std::string& ca_file,
                                     std::chrono::milliseconds limit, const std::stop_token& given_up) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + limit;
  ASSIGN_OR_RETURN(const auto url, ParseIssuer(option, issuer));
  for (const auto& path : MetadataPaths(url.path)) {
    const auto left = std::chrono::floor<std::chrono::milliseconds>(end - Clock::now());
    ASSIGN_OR_RETURN(const auto answer,
                     Exchange(url.origin, ca_file, {.path = path, .limit = left, .given_up = given_up}));
    auto metadata = ParseMetadata(option, issuer, answer);
    if (metadata || metadata.error().code != Code::kNotFound) {
      return metadata;
    }
  }
  return Fail(Code::kNotFound, "the server publishes no metadata of " + option + " " + Quoted(issuer, kMostOfMetadata) +
                                   " (RFC 8414, OpenID Connect Discovery)");
}

Result<Url> EndpointOf(const ServerMetadata& metadata, const std::string& name, const std::string& url) {
  if (url.empty()) {
    return Fail(Code::kFailedPrecondition, "the server's metadata has no " + name);
  }
  auto endpoint = ParseUrl(name + " of the server's metadata", url);
  if (!endpoint) {
    return Fail(Code::kFailedPrecondition, endpoint.error().message);
  }
  if (metadata.issuer.starts_with("https://") && !url.starts_with("https://")) {
    return Fail(Code::kFailedPrecondition, name + " of the server's metadata must be https://, as its issuer is");
  }
  return endpoint;
}

Status Compare(const ServerMetadata& metadata, const PlannedRequest& request, std::string_view assertion) {
  RETURN_IF_ERROR(CheckGrantAndMethod(metadata, request));
  ASSIGN_OR_RETURN(const auto parsed, jws::ParseCompact(assertion));
  if (request.authenticates) {
    RETURN_IF_ERROR(CheckAlgorithm(metadata, request, StringMember(parsed.header, "alg")));
  }
  return CheckAudience(metadata, request, parsed);
}

}  // namespace assertion::oauth
