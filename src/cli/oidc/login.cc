// assertionctl oidc login

#include <openssl/rand.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "assertion/foreign_text.h"
#include "cli/browser.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/oidc/listener.h"
#include "cli/oidc/login_record.h"
#include "cli/oidc/redirect_query.h"
#include "cli/oidc/redirect_uri_refusal.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/token/advice.h"
#include "cli/verbs.h"
#include "config/duration.h"
#include "jws/base64url.h"
#include "jws/compact.h"
#include "jws/foreign_json.h"
#include "oauth/form.h"
#include "oauth/id_token.h"
#include "oauth/metadata.h"
#include "oauth/pushed_request.h"
#include "oauth/token_answer.h"
#include "oauth/token_request.h"

namespace assertion::cli {
namespace {

using nlohmann::json;

constexpr const char* kLoginHelp = "assertionctl oidc login --help";
constexpr std::size_t kMostOfAnswer = 300;
constexpr int kOk = 200;
constexpr int kFirstRedirect = 300;
constexpr int kServerError = 500;
constexpr std::chrono::seconds kBeforehand{5};
constexpr std::size_t kMostBeforehand = std::size_t{256} << 10U;  // octets

// Exit statuses of this verb alone: mistakes that a script may want to tell apart.
constexpr int kRedirectUriRefused = 10;
constexpr int kOtherState = 11;
constexpr int kAccessDenied = 12;
constexpr int kCodeRefused = 13;
constexpr int kOtherKey = 14;
constexpr int kClockDiffers = 15;

struct LoginOptions {
  std::string client_id;
  std::string issuer;
  std::string audience;
  std::string scope = "openid";
  std::string redirect_uri = "http://127.0.0.1:0/callback";
  std::string ca_file;
  std::chrono::seconds timeout{300};
  bool no_browser = false;
  bool json = false;
};

// Why a log-in ended, and assertionctl's exit status for it.
struct LoginFailure {
  int status;
  std::string what;
  std::string next;
};

using LoginResult = std::expected<void, LoginFailure>;

std::unexpected<LoginFailure> Fails(int status, std::string what, std::string next = "") {
  return std::unexpected(LoginFailure{.status = status, .what = std::move(what), .next = std::move(next)});
}

// The exit status after an ID token of which something is wrong.
int StatusAfter(const std::vector<oauth::Check>& checks) {
  const auto is_wrong = [&](std::string_view name) {
    return std::ranges::any_of(checks, [&](const auto& check) { return check.name == name && !check.wrong.empty(); });
  };
  if (is_wrong("signature")) {
    return is_wrong("alg") ? kRefused : kOtherKey;
  }
  const bool only_times = std::ranges::all_of(
      checks, [](const auto& check) { return check.wrong.empty() || check.name == "exp" || check.name == "iat"; });
  return only_times ? kClockDiffers : kRefused;
}

// 256 bits in base64url: a state, a nonce, a code verifier.
std::string Unguessable() {
  Bytes octets(32);
  return RAND_bytes(octets.data(), static_cast<int>(octets.size())) == 1 ? jws::Base64UrlEncode(octets) : "";
}

std::string WithQuery(const std::string& url, const oauth::FormFields& fields) {
  return url + (url.contains('?') ? "&" : "?") + oauth::EncodeForm(fields);
}

// The value of --timeout.
std::chrono::seconds TakeTimeout(const std::string& text) {
  constexpr std::chrono::hours kLongest{24};
  const bool plain = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  const auto limit = ParseDuration(plain ? text + "s" : text);
  if (!limit || limit->count() == 0 || *limit > kLongest) {
    throw CLI::ValidationError("--timeout",
                               "must be digits and s, m or h, at least 1s and at most 24h, for example 300s");
  }
  return *limit;
}

class Login {
 public:
  Login(const LoginOptions& options, const std::string& server) : options_(options), server_(server) {
    record_.client_id = options.client_id;
    record_.issuer = options.issuer;
  }

  int Run() {
    auto ended = Prepare();
    if (ended) {
      ended = Converse();
      record_.failure = ended ? "" : ended.error().what;
      if (came_back_) {
        listener_->Answer(LoginPage(secrets_.CutFrom(record_)));
      }
    }
    record_.failure = ended ? "" : ended.error().what;
    if (options_.json) {
      WriteJson(LoginJson(secrets_.CutFrom(record_)));
    }
    if (!ended) {
      return Report(ended.error().status, secrets_.CutFrom(ended.error().what), ended.error().next);
    }
    return options_.json ? 0
                         : Write("", "logged in as " + Shown(record_.claims["sub"].get<std::string>(), kMostOfAnswer) +
                                         "; all " + std::to_string(record_.checks.size()) + " checks are good\n");
  }

 private:
  LoginResult Prepare() {
    if (!(" " + options_.scope + " ").contains(" openid ")) {
      return Fails(kUsage, "--scope must contain openid: without it the provider gives no ID token", kLoginHelp);
    }
    auto listener = RedirectListener::Open(options_.redirect_uri);
    if (!listener) {
      return Fails(listener.error().code == Code::kInvalidArgument ? kUsage : kUnreachable, listener.error().ToString(),
                   kLoginHelp);
    }
    listener_ = *std::move(listener);
    if (state_.empty() || nonce_.empty() || verifier_.empty()) {
      return Fails(kRefused, "the random number generator failed");
    }
    for (const auto* secret : {&state_, &nonce_, &verifier_}) {
      secrets_.Add(*secret);
    }
    auto metadata = oauth::FetchMetadata("--issuer", options_.issuer, options_.ca_file);
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
                             .request = "GET the metadata of " + options_.issuer,
                             .sent = {},
                             .received = "token_endpoint " + metadata_.token_endpoint + "\nauthorization_endpoint " +
                                         metadata_.authorization_endpoint + "\njwks_uri " + metadata_.jwks_uri});
    return CheckEndpoints();
  }

  // All at once: the person shall not log in for nothing.
  LoginResult CheckEndpoints() const {
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

  LoginResult Converse() {
    if (auto asked = Ask(); !asked) {
      return asked;
    }
    if (auto redirected = Redirected(); !redirected) {
      return redirected;
    }
    if (auto bought = Redeem(); !bought) {
      return bought;
    }
    if (auto verified = VerifyIdToken(); !verified) {
      return verified;
    }
    return AskUserinfo();
  }

  // An endpoint of the provider.
  std::expected<oauth::Url, LoginFailure> Endpoint(const char* name, const std::string& url) const {
    auto endpoint = oauth::EndpointOf(metadata_, name, url);
    if (!endpoint) {
      return Fails(kRefusedByIdentityServer, endpoint.error().message);
    }
    return *std::move(endpoint);
  }

  // Posts the fields with a fresh assertion, which authenticates the client.
  std::expected<oauth::HttpAnswer, LoginFailure> PostAsClient(const char* title, const char* name,
                                                              const std::string& url, oauth::FormFields fields) {
    const auto endpoint = Endpoint(name, url);
    if (!endpoint) {
      return std::unexpected(endpoint.error());
    }
    auto connection = Connection::Open(server_);
    if (!connection) {
      return Fails(kUnreachable, connection.error().message, "start it with assertiond --config FILE");
    }
    v1::CreateAssertionRequest request;
    request.set_client_id(options_.client_id);
    request.set_audience(options_.audience);
    const auto assertion = cli::Ask(*connection, &Connection::CreateAssertion, request);
    if (!assertion) {
      return Fails(kRefused, assertion.error().message, "assertionctl key list");
    }
    if (assertion->client_assertion_type().empty()) {
      return Fails(kRefused, "the client's assertions do not authenticate it: its grant must be client-authentication");
    }
    secrets_.Add(assertion->assertion());
    Decode(std::string("Client assertion of: ") + title, assertion->assertion());
    const oauth::PlannedRequest planned{
        .client_id = options_.client_id, .grant_type = "authorization_code", .authenticates = true, .endpoint = url};
    if (const auto fits = oauth::Compare(metadata_, planned, assertion->assertion()); !fits) {
      return Fails(kRefused, fits.error().message,
                   "no assertion was sent; name one of the client's other audiences with --audience, or correct the "
                   "client here or at the provider");
    }
    fields.emplace_back("client_id", options_.client_id);
    fields.emplace_back("client_assertion_type", assertion->client_assertion_type());
    fields.emplace_back("client_assertion", assertion->assertion());
    auto answer = oauth::PostForm(*endpoint, options_.ca_file, fields);
    record_.steps.push_back({.title = title,
                             .request = "POST " + url,
                             .sent = secrets_.CutFrom(std::move(fields)),
                             .received = answer ? AnswerText(secrets_.CutFrom(*answer)) : answer.error().message});
    if (!answer) {
      return Fails(kUnreachable, answer.error().message);
    }
    return *std::move(answer);
  }

  // Shows what a JWT says. A token in another form is the provider's own matter.
  void Decode(std::string name, const std::string& token) {
    if (auto parts = jws::ParseCompact(token)) {
      record_.decoded.push_back(
          {.name = std::move(name), .header = std::move(parts->header), .claims = std::move(parts->claims)});
    }
  }

  // The failure for an answer that is no refusal of what was sent, if it is one.
  std::optional<LoginFailure> FailureOfProvider(const oauth::HttpAnswer& answer, const char* missing) {
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

  // Those of an authorization request that each has, but client_id.
  oauth::FormFields RequestFields(const std::string& verifier, const std::string& state,
                                  const std::string& nonce) const {
    auto fields = oauth::PushedFields(verifier);
    fields.insert(
        fields.end(),
        {{"redirect_uri", listener_->redirect_uri()}, {"scope", options_.scope}, {"state", state}, {"nonce", nonce}});
    return fields;
  }

  // A provider that does not know the redirect URI tells the person alone (RFC 6749 section 4.1.2.1). So it is asked
  // once from here, where nobody is logged in (OpenID Connect Core 1.0 section 3.1.2.1). Only a clear refusal counts:
  // a provider may not know prompt=none. The secrets of this request are used for nothing else.
  LoginResult AskBeforehand() {
    const auto endpoint = Endpoint("authorization_endpoint", metadata_.authorization_endpoint);
    if (!endpoint) {
      return std::unexpected(endpoint.error());
    }
    const auto state = Unguessable();
    const auto nonce = Unguessable();
    auto fields = RequestFields(Unguessable(), state, nonce);
    fields.insert(fields.end(), {{"client_id", options_.client_id}, {"prompt", "none"}});
    secrets_.Add(state);
    secrets_.Add(nonce);
    auto answer = oauth::Exchange(endpoint->origin, options_.ca_file,
                                  {.method = "GET",
                                   .path = WithQuery(endpoint->path, fields),
                                   .content_type = {},
                                   .body = {},
                                   .bearer_token = {},
                                   .limit = kBeforehand,
                                   .most_octets = kMostBeforehand});
    record_.steps.push_back({.title = "Redirect URI asked beforehand",
                             .request = "GET " + metadata_.authorization_endpoint,
                             .sent = secrets_.CutFrom(std::move(fields)),
                             .received = answer ? AuthorizationText(*answer) : answer.error().message});
    const auto refusal = answer ? RedirectUriRefusal(*answer, listener_->redirect_uri()) : "";
    return refusal.empty()
               ? LoginResult{}
               : Fails(kRedirectUriRefused, "the provider refused the redirect URI: " + refusal, RegisterRedirectUri());
  }

  // What an authorization endpoint answers. A code that it sends is not even shown.
  std::string AuthorizationText(const oauth::HttpAnswer& answer) {
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

  std::string RegisterRedirectUri() const {
    return "register the redirect URI " + listener_->redirect_uri() + " for the client";
  }

  // Sends the person to the provider: by a pushed request where it takes one.
  LoginResult Ask() {
    auto fields = RequestFields(verifier_, state_, nonce_);
    std::string url;
    if (!metadata_.pushed_authorization_request_endpoint.empty()) {
      const auto answer = PostAsClient("Pushed authorization request", "pushed_authorization_request_endpoint",
                                       metadata_.pushed_authorization_request_endpoint, fields);
      if (!answer) {
        return std::unexpected(answer.error());
      }
      const auto pushed = oauth::PushedAnswerOf(*answer);
      if (!pushed) {
        return RefusedRequest(*answer);
      }
      fields = {{"client_id", options_.client_id}, {"request_uri", pushed->request_uri}};
      url = oauth::AuthorizationUrl(metadata_.authorization_endpoint, options_.client_id, pushed->request_uri);
    } else {
      if (auto known = AskBeforehand(); !known) {
        return known;
      }
      fields.emplace_back("client_id", options_.client_id);
      url = WithQuery(metadata_.authorization_endpoint, fields);
    }
    record_.steps.push_back({.title = "Log-in in the browser",
                             .request = "GET " + metadata_.authorization_endpoint,
                             .sent = secrets_.CutFrom(std::move(fields)),
                             .received = ""});
    std::fprintf(stderr, "Log in at this address:\n%s\n", Printable(url).c_str());
    if (options_.no_browser) {
      return {};
    }
    auto opened = OpenBrowser(url);
    if (!opened) {
      return Fails(kFile, opened.error().ToString());
    }
    if (*opened) {
      file_.emplace(**std::move(opened));
    }
    return {};
  }

  // Why there is no pushed request.
  std::unexpected<LoginFailure> RefusedRequest(const oauth::HttpAnswer& answer) {
    if (auto failure = FailureOfProvider(answer, "a request_uri")) {
      return std::unexpected(*std::move(failure));
    }
    const auto reason = oauth::ReasonOf(secrets_.CutFrom(answer));
    const bool of_client = oauth::ErrorOf(answer) == "invalid_client";
    const bool of_redirect = !of_client && NamesRedirectUri(reason, listener_->redirect_uri());
    return Fails(of_redirect ? kRedirectUriRefused : kRefusedByIdentityServer,
                 "the provider refused the authorization request: " + reason,
                 of_redirect ? RegisterRedirectUri() : AdviceFor(answer));
  }

  // Checks what the browser brings. Before the state is right, nothing else in it is believed.
  LoginResult Redirected() {
    const auto query = listener_->Wait(options_.timeout);
    file_.reset();
    if (!query) {
      return Fails(kUnreachable, query.error().message,
                   "if the provider showed an error in the browser, " + RegisterRedirectUri());
    }
    came_back_ = true;
    const auto fields = QueryOf(*query);
    if (!fields) {
      return Fails(kRefused, "the redirect's query is malformed or repeats a parameter");
    }
    secrets_.Add(FieldOf(*fields, "code"));
    record_.steps.push_back({.title = "Redirect",
                             .request = "GET " + listener_->redirect_uri(),
                             .sent = secrets_.CutFrom(*fields),
                             .received = ""});
    const auto iss = FieldOf(*fields, "iss");
    const auto check = [&](const char* name, const char* wrong, bool good) {
      record_.checks.push_back({name, good ? "" : wrong});
      return good;
    };
    if (!check("state", "state is another", FieldOf(*fields, "state") == state_)) {
      return Fails(kOtherState,
                   "the redirect has another state: it belongs to another log-in, or another page forged it",
                   "nothing was sent to the token endpoint; run it again");
    }
    if (!check("iss of the redirect (RFC 9207)", iss.empty() ? "iss is missing" : "iss is another",
               iss.empty() ? !metadata_.names_issuer_in_responses : iss == metadata_.issuer)) {
      return Fails(kRefused, iss.empty()
                                 ? "iss is missing in the redirect, though the provider announces that it sends "
                                   "it (RFC 9207): another provider may have answered (mix-up)"
                                 : "the redirect names the issuer " + Quoted(iss, kMostOfAnswer) +
                                       ", and the log-in was at " + Quoted(metadata_.issuer, kMostOfAnswer) +
                                       " (mix-up)");
    }
    if (const auto error = FieldOf(*fields, "error"); !error.empty()) {
      const auto description = FieldOf(*fields, "error_description");
      return Fails(error == "access_denied" ? kAccessDenied : kRefusedByIdentityServer,
                   "the provider refused the log-in: " + Shown(error, kMostOfAnswer) +
                       (description.empty() ? "" : ", " + Shown(secrets_.CutFrom(description), kMostOfAnswer)),
                   error == "access_denied" ? "the person, or the provider's rules, said no" : "");
    }
    code_ = FieldOf(*fields, "code");
    return code_.empty() ? Fails(kRefusedByIdentityServer, "the redirect has no code") : LoginResult{};
  }

  // Why there are no tokens.
  std::unexpected<LoginFailure> RefusedCode(const oauth::HttpAnswer& answer) {
    if (auto failure = FailureOfProvider(answer, "an access token")) {
      return std::unexpected(*std::move(failure));
    }
    const auto reason = oauth::ReasonOf(secrets_.CutFrom(answer));
    const auto error = oauth::ErrorOf(answer);
    if (error == "invalid_grant") {
      return Fails(kCodeRefused, "the provider refused the code: " + reason,
                   "a code is taken once and soon expires; redirect URI and verifier must be those of the log-in");
    }
    return Fails(kRefusedByIdentityServer,
                 (error == "invalid_client" ? "the provider refused the assertion: "
                                            : "the provider refused the token request: ") +
                     reason,
                 AdviceFor(answer));
  }

  LoginResult Redeem() {
    const auto answer = PostAsClient("Token request", "token_endpoint", metadata_.token_endpoint,
                                     {{"grant_type", "authorization_code"},
                                      {"code", code_},
                                      {"redirect_uri", listener_->redirect_uri()},
                                      {"code_verifier", verifier_}});
    if (!answer) {
      return std::unexpected(answer.error());
    }
    if (!oauth::IsGranted(*answer)) {
      return RefusedCode(*answer);
    }
    auto checked = *answer;
    if (const auto token = oauth::TakeToken(checked); !token) {
      return Fails(kRefusedByIdentityServer, token.error().message);
    }
    tokens_ = jws::ParseForeign(answer->body);
    Decode("Access token", tokens_["access_token"].get<std::string>());
    return tokens_.contains("id_token") && tokens_["id_token"].is_string()
               ? LoginResult{}
               : Fails(kRefusedByIdentityServer, "the answer has no id_token",
                       "allow the client the scope openid at the provider");
  }

  // A JSON document of the provider.
  std::expected<json, LoginFailure> Get(const char* title, const char* name, const std::string& url,
                                        const std::string& bearer) {
    const auto endpoint = Endpoint(name, url);
    if (!endpoint) {
      return std::unexpected(endpoint.error());
    }
    const auto answer = oauth::Exchange(
        endpoint->origin, options_.ca_file,
        {.method = "GET", .path = endpoint->path, .content_type = {}, .body = {}, .bearer_token = bearer});
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

  LoginResult VerifyIdToken() {
    const auto jwks = Get("The provider's keys", "jwks_uri", metadata_.jwks_uri, "");
    if (!jwks) {
      return std::unexpected(jwks.error());
    }
    auto checked = oauth::CheckIdToken(tokens_["id_token"].get<std::string>(), *jwks,
                                       {.issuer = metadata_.issuer,
                                        .client_id = options_.client_id,
                                        .nonce = nonce_,
                                        .access_token = tokens_["access_token"].get<std::string>(),
                                        .code = code_,
                                        .now = SystemTime()});
    record_.checks.insert(record_.checks.end(), checked.checks.begin(), checked.checks.end());
    record_.claims = checked.claims;
    if (!checked.header.is_null()) {
      record_.decoded.push_back(
          {.name = "ID token", .header = std::move(checked.header), .claims = std::move(checked.claims)});
    }
    std::string wrong;
    for (const auto& check : checked.checks) {
      wrong += check.wrong.empty() ? "" : (wrong.empty() ? "" : "; ") + check.wrong;
    }
    return wrong.empty() ? LoginResult{}
                         : Fails(StatusAfter(checked.checks), "the ID token is not to be believed: " + wrong);
  }

  // OpenID Connect Core 1.0 section 5.3.2: a sub that differs is somebody else.
  LoginResult AskUserinfo() {
    if (metadata_.userinfo_endpoint.empty()) {
      return {};
    }
    const auto info =
        Get("Userinfo", "userinfo_endpoint", metadata_.userinfo_endpoint, tokens_["access_token"].get<std::string>());
    if (!info) {
      return std::unexpected(info.error());
    }
    const bool same = info->value("sub", json()) == json(record_.claims["sub"]);
    record_.checks.push_back({"sub of userinfo", same ? "" : "sub is another than the ID token's"});
    return same ? LoginResult{} : Fails(kRefused, "userinfo has another sub than the ID token: it is not used");
  }

  const LoginOptions& options_;
  const std::string& server_;
  const std::string state_ = Unguessable();
  const std::string nonce_ = Unguessable();
  const std::string verifier_ = Unguessable();
  std::optional<RedirectListener> listener_;
  std::optional<EntranceFile> file_;  // takes the browser to the provider
  oauth::ServerMetadata metadata_;
  LoginRecord record_;
  LoginSecrets secrets_;
  std::string code_;
  json tokens_;
  bool came_back_ = false;
};

int LogIn(const LoginOptions& options, const std::string& server) { return Login(options, server).Run(); }

}  // namespace

void AddOidcLogin(Command& oidc) {
  const auto [verb, options] = oidc.AddVerb(
      {.name = "login",
       .summary = "Log in at an OpenID provider as the client, and show each request, answer and check",
       .examples = "  assertionctl oidc login --client-id orders --issuer https://is.example.com\n"
                   "  assertionctl oidc login --client-id orders --issuer https://localhost:9443/oauth2/token \\\n"
                   "    --redirect-uri http://127.0.0.1:8400/callback --ca-file wso2.pem",
       .notes =
           "The provider's address is printed, and opened where there is a desktop. The browser comes back to a\n"
           "loopback port (RFC 8252), which must be registered for the client. Its last page shows the exchange,\n"
           "secrets cut. Code flow with PKCE, state and nonce; the request is pushed where the provider takes that.\n"
           "The tokens are dropped. Ctrl-C and SIGTERM end it with status 130 and 143.",
       .statuses = {{kRefused, "assertiond refused, or another check failed: iss, ID token, userinfo"},
                    {kFile, "--ca-file cannot be read, or no file can be made for the browser"},
                    {kUnreachable, "assertiond or the provider cannot be reached, or nobody came back in time"},
                    {kRefusedByIdentityServer, "the provider refused something else, or failed"},
                    {kRedirectUriRefused, "the provider refused the redirect URI"},
                    {kOtherState, "the redirect has another state"},
                    {kAccessDenied, "the person or the provider's rules said no: error=access_denied"},
                    {kCodeRefused, "the provider refused the code: used before, expired, or of another request"},
                    {kOtherKey, "the ID token's signature is by no key of the provider"},
                    {kClockDiffers, "only the ID token's times are wrong: the clocks differ"}}},
      LogIn);
  AddClientId(verb, options.client_id);
  verb->add_option("--issuer", options.issuer, "The provider's issuer, octet for octet")->required()->type_name("URL");
  verb->add_option("--audience", options.audience,
                   "The claim aud of the assertions; default: the client's first configured audience")
      ->type_name("URL");
  verb->add_option("--scope", options.scope, "Scopes, separated by blanks; openid must be one")
      ->type_name("SCOPE")
      ->capture_default_str();
  verb->add_option("--redirect-uri", options.redirect_uri, "Where the browser comes back to; port 0: any free one")
      ->type_name("URL")
      ->capture_default_str();
  verb->add_option_function<std::string>(
          "--timeout", [&wanted = options.timeout](const std::string& text) { wanted = TakeTimeout(text); },
          "How long to wait until the browser comes back, with s, m or h, at most 24h; without a unit: seconds")
      ->type_name("300s")
      ->default_str("300s");
  verb->add_flag("--no-browser", options.no_browser, "Only print the address");
  AddCaFile(verb, options.ca_file);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
