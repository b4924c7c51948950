#include "cli/oidc/provider_talk.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <tuple>
#include <utility>

#include "cli/call.h"
#include "cli/oidc/redirect_query.h"
#include "cli/oidc/redirect_uri_refusal.h"
#include "cli/output.h"
#include "cli/token/advice.h"
#include "jws/compact.h"
#include "jws/foreign_json.h"
#include "oauth/token_request.h"

namespace assertion::cli {
namespace {

constexpr int kOk = 200;
constexpr int kFirstRedirect = 300;
constexpr int kServerError = 500;
constexpr std::chrono::seconds kToDiscover{60};
constexpr std::chrono::seconds kBeforehand{5};
constexpr std::size_t kMostBeforehand = std::size_t{256} << 10U;  // octets

}  // namespace

ProviderTalk::ProviderTalk(LoginRequest request, std::string server, std::stop_token given_up)
    : request_(std::move(request)), server_(std::move(server)), given_up_(std::move(given_up)) {
  record_.client_id = request_.client_id;
  record_.issuer = request_.issuer;
}

LoginResult ProviderTalk::Discover() {
  auto metadata = oauth::FetchMetadata("--issuer", request_.issuer, request_.ca_file, kToDiscover, given_up_);
  if (!metadata) {
    const auto code = metadata.error().code;
    return Fails(code == Code::kInvalidArgument ? kUsage
                 : code == Code::kUnavailable   ? kUnreachable
                                                : kRefusedByIdentityServer,
                 metadata.error().message,
                 "check --issuer, and --ca-file for a certificate that this machine does not know");
  }
  metadata_ = *std::move(metadata);
  record_.steps.push_back({.title = "Discovery",
                           .request = "GET the metadata of " + request_.issuer,
                           .sent = {},
                           .received = "token_endpoint " + metadata_.token_endpoint + "\nauthorization_endpoint " +
                                       metadata_.authorization_endpoint + "\njwks_uri " + metadata_.jwks_uri});
  return CheckEndpoints();
}

LoginResult ProviderTalk::CheckEndpoints() const {
  const auto& pushed = metadata_.pushed_authorization_request_endpoint;
  const auto& userinfo = metadata_.userinfo_endpoint;
  for (const auto& [name, url, optional] :
       {std::tuple{"authorization_endpoint", metadata_.authorization_endpoint, false},
        {"token_endpoint", metadata_.token_endpoint, false},
        {"jwks_uri", metadata_.jwks_uri, false},
        {"pushed_authorization_request_endpoint", pushed, true},
        {"userinfo_endpoint", userinfo, true}}) {
    if (optional && url.empty()) {
      continue;
    }
    if (const auto endpoint = Endpoint(name, url); !endpoint) {
      return std::unexpected(endpoint.error());
    }
  }
  return {};
}

LoginOutcome<oauth::Url> ProviderTalk::Endpoint(const char* name, const std::string& url) const {
  auto endpoint = oauth::EndpointOf(metadata_, name, url);
  if (!endpoint) {
    return Fails(kRefusedByIdentityServer, endpoint.error().message);
  }
  return *std::move(endpoint);
}

LoginOutcome<oauth::HttpAnswer> ProviderTalk::PostAsClient(const char* title, const char* name, const std::string& url,
                                                           oauth::FormFields fields) {
  const auto endpoint = Endpoint(name, url);
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  auto connection = Connection::Open(server_, request_.limits);
  if (!connection) {
    return Fails(kUnreachable, connection.error().message, "start it with assertiond --config FILE");
  }
  v1::CreateAssertionRequest wanted;
  wanted.set_client_id(request_.client_id);
  wanted.set_audience(request_.audience);
  const auto assertion = Ask(*connection, &Connection::CreateAssertion, wanted);
  if (!assertion) {
    return Fails(kRefused, assertion.error().message, "assertionctl key list");
  }
  if (assertion->client_assertion_type().empty()) {
    return Fails(kRefused, "the client's assertions do not authenticate it: its grant must be client-authentication");
  }
  secrets_.Add(assertion->assertion());
  Decode(std::string("Client assertion of: ") + title, assertion->assertion());
  const oauth::PlannedRequest planned{
      .client_id = request_.client_id, .grant_type = "authorization_code", .authenticates = true, .endpoint = url};
  if (const auto fits = oauth::Compare(metadata_, planned, assertion->assertion()); !fits) {
    return Fails(kRefused, fits.error().message,
                 "no assertion was sent; name one of the client's other audiences with --audience, or correct the "
                 "client here or at the provider");
  }
  fields.emplace_back("client_id", request_.client_id);
  fields.emplace_back("client_assertion_type", assertion->client_assertion_type());
  fields.emplace_back("client_assertion", assertion->assertion());
  oauth::HttpRequest how;
  how.given_up = given_up_;
  auto answer = oauth::PostForm(*endpoint, request_.ca_file, fields, std::move(how));
  record_.steps.push_back({.title = title,
                           .request = "POST " + url,
                           .sent = secrets_.CutFrom(std::move(fields)),
                           .received = answer ? AnswerText(secrets_.CutFrom(*answer)) : answer.error().message});
  if (!answer) {
    return Fails(kUnreachable, answer.error().message);
  }
  return *std::move(answer);
}

void ProviderTalk::Decode(std::string name, const std::string& token) {
  if (auto parts = jws::ParseCompact(token)) {
    record_.decoded.push_back(
        {.name = std::move(name), .header = std::move(parts->header), .claims = std::move(parts->claims)});
  }
}

std::optional<LoginFailure> ProviderTalk::FailureOfProvider(const oauth::HttpAnswer& answer, const char* missing) {
  if (answer.status >= kServerError) {
    return LoginFailure{.status = kRefusedByIdentityServer,
                        .what = "the provider failed: " + oauth::ReasonOf(secrets_.CutFrom(answer)),
                        .next = AdviceFor(answer)};
  }
  if (answer.status < kFirstRedirect) {
    return LoginFailure{.status = kRefusedByIdentityServer,
                        .what = "the provider answered HTTP " + std::to_string(answer.status) + " without " + missing,
                        .next = ""};
  }
  return std::nullopt;
}

LoginOutcome<std::string> ProviderTalk::AskBeforehand(oauth::FormFields fields, const std::string& redirect_uri) {
  const auto& url = metadata_.authorization_endpoint;
  const auto endpoint = Endpoint("authorization_endpoint", url);
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  fields.emplace_back("prompt", "none");
  for (const auto* name : {"state", "nonce"}) {
    secrets_.Add(FieldOf(fields, name));
  }
  const auto answer = oauth::Exchange(endpoint->origin, request_.ca_file,
                                      {.path = WithQuery(endpoint->path, fields),
                                       .limit = kBeforehand,
                                       .given_up = given_up_,
                                       .most_octets = kMostBeforehand});
  record_.steps.push_back({.title = "Redirect URI asked beforehand",
                           .request = "GET " + url,
                           .sent = secrets_.CutFrom(std::move(fields)),
                           .received = answer ? AuthorizationText(*answer) : answer.error().message});
  return answer ? RedirectUriRefusal(*answer, redirect_uri) : "";
}

// What an authorization endpoint answers.
std::string ProviderTalk::AuthorizationText(const oauth::HttpAnswer& answer) {
  if (answer.location.empty()) {
    return AnswerText(secrets_.CutFrom(answer));
  }
  const auto mark = std::min(answer.location.find_first_of("?#"), answer.location.size());
  auto text = "HTTP " + std::to_string(answer.status) + ", Location: " + answer.location.substr(0, mark);
  const auto fields = QueryOf(answer.location.substr(std::min(mark + 1, answer.location.size())));
  secrets_.Add(FieldOf(fields.value_or(oauth::FormFields()), "code"));
  for (const auto& [name, value] : secrets_.CutFrom(fields.value_or(oauth::FormFields()))) {
    text.append("\n").append(name).append(" ").append(name == "code" ? "(dropped)" : value);
  }
  return text;
}

LoginOutcome<nlohmann::json> ProviderTalk::Get(const char* title, const char* name, const std::string& url,
                                               const std::string& bearer) {
  const auto endpoint = Endpoint(name, url);
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  const auto answer = oauth::Exchange(endpoint->origin, request_.ca_file,
                                      {.path = endpoint->path, .bearer_token = bearer, .given_up = given_up_});
  if (!answer) {
    return Fails(kUnreachable, answer.error().message);
  }
  record_.steps.push_back(
      {.title = title,
       .request = "GET " + url,
       .sent = bearer.empty() ? oauth::FormFields{} : oauth::FormFields{{"Authorization", "Bearer " + Cut(bearer)}},
       .received = AnswerText(secrets_.CutFrom(*answer))});
  auto body = jws::ParseForeign(answer->body);
  if (answer->status == kOk && !body.is_object()) {
    return Fails(kRefusedByIdentityServer,
                 std::string(name) + (jws::ParseCompact(answer->body)
                                          ? " answers with a JWT (application/jwt), which is not read here"
                                          : " answers HTTP 200 without a JSON object"),
                 "have the provider answer this client with JSON");
  }
  if (answer->status != kOk) {
    return Fails(kRefusedByIdentityServer,
                 std::string(name) + " answers: " + oauth::ReasonOf(secrets_.CutFrom(*answer)));
  }
  return body;
}

std::string WithQuery(const std::string& url, const oauth::FormFields& fields) {
  return url + (url.contains('?') ? "&" : "?") + oauth::EncodeForm(fields);
}

}  // namespace assertion::cli
