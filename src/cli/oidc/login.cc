#include "cli/oidc/login.h"

#include <openssl/rand.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "assertion/foreign_text.h"
#include "assertion/secret.h"
#include "cli/oidc/redirect_query.h"
#include "cli/oidc/redirect_uri_refusal.h"
#include "cli/output.h"
#include "cli/token/advice.h"
#include "jws/base64url.h"
#include "jws/foreign_json.h"
#include "oauth/id_token.h"
#include "oauth/pushed_request.h"
#include "oauth/token_answer.h"
#include "oauth/token_request.h"

namespace assertion::cli {
namespace {

using nlohmann::json;

constexpr const char* kLoginHelp = "assertionctl oidc login --help";
constexpr std::size_t kMostOfAnswer = 300;

// The exit status after an ID token of which something is wrong.
int StatusAfter(const std::vector<oauth::Check>& checks) {
  bool only_clocks = true;
  for (const auto& check : checks) {
    if (!check.wrong.empty() && check.mistake == oauth::Mistake::kOtherKey) {
      return kOtherKey;
    }
    only_clocks = only_clocks && (check.wrong.empty() || check.mistake == oauth::Mistake::kClock);
  }
  return only_clocks ? kClockDiffers : kRefused;
}

// 256 bits in base64url: a state, a nonce, a code verifier.
std::string Unguessable() {
  Bytes octets(32);
  return RAND_bytes(octets.data(), static_cast<int>(octets.size())) == 1 ? jws::Base64UrlEncode(octets) : "";
}

}  // namespace

Login::Login(const LoginRequest& request, const std::string& server, const std::stop_token& given_up)
    : request_(request),
      given_up_(given_up),
      state_(Unguessable()),
      nonce_(Unguessable()),
      verifier_(Unguessable()),
      talk_(request, server, given_up) {}

// The console lives on.
Login::~Login() {
  WipeOctets(verifier_);
  WipeOctets(code_);
  for (auto& token : tokens_) {
    if (token.is_string()) {
      WipeOctets(token.get_ref<std::string&>());
    }
  }
}

template <typename T>
LoginOutcome<T> Login::Ended(LoginOutcome<T> outcome) {
  if (!outcome) {
    talk_.record().failure = outcome.error().what;
    outcome.error().what = talk_.secrets().CutFrom(outcome.error().what);
  }
  return outcome;
}

LoginOutcome<std::string> Login::Begin() {
  if (auto prepared = Ended(Prepare()); !prepared) {
    return std::unexpected(prepared.error());
  }
  return Ended(Ask());
}

LoginResult Login::Await() {
  auto query = listener_->Wait(request_.timeout, given_up_);
  if (!query) {
    return Ended<void>(Fails(kUnreachable, query.error().message,
                             query.error().code == Code::kCancelled
                                 ? ""
                                 : "if the provider showed an error in the browser, " + RegisterRedirectUri()));
  }
  query_ = *std::move(query);
  return {};
}

LoginResult Login::Finish() {
  auto ended = Ended(Converse());
  auto shown = Record();
  if (!is_expected_) {  // any program of the machine can come without the state
    shown = {};
    shown.failure = talk_.secrets().CutFrom(talk_.record().failure);
  }
  listener_->Answer(LoginPage(shown));
  return ended;
}

LoginResult Login::Prepare() {
  if (!(" " + request_.scope + " ").contains(" openid ")) {
    return Fails(kUsage, "--scope must contain openid: without it the provider gives no ID token", kLoginHelp);
  }
  auto listener = RedirectListener::Open(request_.redirect_uri);
  if (!listener) {
    return Fails(listener.error().code == Code::kInvalidArgument ? kUsage : kUnreachable, listener.error().ToString(),
                 kLoginHelp);
  }
  listener_ = *std::move(listener);
  if (state_.empty() || nonce_.empty() || verifier_.empty()) {
    return Fails(kRefused, "the random number generator failed");
  }
  for (const std::string& secret : {state_, nonce_, verifier_}) {
    talk_.secrets().Add(secret);
  }
  return talk_.Discover();
}

LoginResult Login::Converse() {
  if (auto redirected = CheckRedirect(); !redirected) {
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

// Those of an authorization request that each has, but client_id.
oauth::FormFields Login::RequestFields(const std::string& verifier, const std::string& state,
                                       const std::string& nonce) const {
  auto fields = oauth::PushedFields(verifier);
  fields.insert(
      fields.end(),
      {{"redirect_uri", listener_->redirect_uri()}, {"scope", request_.scope}, {"state", state}, {"nonce", nonce}});
  return fields;
}

std::string Login::RegisterRedirectUri() const {
  return "register the redirect URI " + listener_->redirect_uri() + " for the client";
}

// A provider that does not know the redirect URI tells the person alone (RFC 6749 section 4.1.2.1), or a pushed
// request. So it is asked once from here. Only a clear refusal counts: a provider may not know prompt=none. The secrets
// of this request are used for nothing else.
LoginResult Login::AskBeforehand() {
  auto fields = RequestFields(Unguessable(), Unguessable(), Unguessable());
  fields.emplace_back("client_id", request_.client_id);
  const auto refusal = talk_.AskBeforehand(std::move(fields), listener_->redirect_uri());
  if (!refusal) {
    return std::unexpected(refusal.error());
  }
  return refusal->empty()
             ? LoginResult{}
             : Fails(kRedirectUriRefused, "the provider refused the redirect URI: " + *refusal, RegisterRedirectUri());
}

// By a pushed request where the provider takes one.
LoginOutcome<std::string> Login::Ask() {
  auto fields = RequestFields(verifier_, state_, nonce_);
  std::string url;
  if (!talk_.metadata().pushed_authorization_request_endpoint.empty()) {
    const auto answer = talk_.PostAsClient("Pushed authorization request", "pushed_authorization_request_endpoint",
                                           talk_.metadata().pushed_authorization_request_endpoint, fields);
    if (!answer) {
      return std::unexpected(answer.error());
    }
    const auto pushed = oauth::PushedAnswerOf(*answer);
    if (!pushed) {
      return RefusedRequest(*answer);
    }
    fields = {{"client_id", request_.client_id}, {"request_uri", pushed->request_uri}};
    url = oauth::AuthorizationUrl(talk_.metadata().authorization_endpoint, request_.client_id, pushed->request_uri);
  } else {
    if (auto known = AskBeforehand(); !known) {
      return std::unexpected(known.error());
    }
    fields.emplace_back("client_id", request_.client_id);
    url = WithQuery(talk_.metadata().authorization_endpoint, fields);
  }
  talk_.record().steps.push_back({.title = "Log-in in the browser",
                                  .request = "GET " + talk_.metadata().authorization_endpoint,
                                  .sent = talk_.secrets().CutFrom(std::move(fields)),
                                  .received = ""});
  return url;
}

// Why there is no pushed request.
std::unexpected<LoginFailure> Login::RefusedRequest(const oauth::HttpAnswer& answer) {
  if (auto failure = talk_.FailureOfProvider(answer, "a request_uri")) {
    return std::unexpected(*std::move(failure));
  }
  const auto reason = oauth::ReasonOf(talk_.secrets().CutFrom(answer));
  const bool of_client = oauth::ErrorOf(answer) == "invalid_client";
  const bool of_redirect = !of_client && NamesRedirectUri(reason, listener_->redirect_uri());
  return Fails(of_redirect ? kRedirectUriRefused : kRefusedByIdentityServer,
               "the provider refused the authorization request: " + reason,
               of_redirect ? RegisterRedirectUri() : AdviceFor(answer));
}

// Before the state is right, nothing else that the browser brings is believed.
LoginResult Login::CheckRedirect() {
  const auto fields = QueryOf(query_);
  if (!fields) {
    return Fails(kRefused, "the redirect's query is malformed or repeats a parameter");
  }
  talk_.secrets().Add(FieldOf(*fields, "code"));
  talk_.record().steps.push_back({.title = "Redirect",
                                  .request = "GET " + listener_->redirect_uri(),
                                  .sent = talk_.secrets().CutFrom(*fields),
                                  .received = ""});
  const auto iss = FieldOf(*fields, "iss");
  const auto check = [&](const char* name, const char* wrong, bool good) {
    talk_.record().checks.push_back({name, good ? "" : wrong});
    return good;
  };
  if (!check("state", "state is another", FieldOf(*fields, "state") == state_)) {
    return Fails(kOtherState, "the redirect has another state: it belongs to another log-in, or another page forged it",
                 "nothing was sent to the token endpoint; run it again");
  }
  is_expected_ = true;
  if (!check("iss of the redirect (RFC 9207)", iss.empty() ? "iss is missing" : "iss is another",
             iss.empty() ? !talk_.metadata().names_issuer_in_responses : iss == talk_.metadata().issuer)) {
    return Fails(kRefused, iss.empty() ? "iss is missing in the redirect, though the provider announces that it sends "
                                         "it (RFC 9207): another provider may have answered (mix-up)"
                                       : "the redirect names the issuer " + Quoted(iss, kMostOfAnswer) +
                                             ", and the log-in was at " +
                                             Quoted(talk_.metadata().issuer, kMostOfAnswer) + " (mix-up)");
  }
  if (const auto error = FieldOf(*fields, "error"); !error.empty()) {
    const auto description = FieldOf(*fields, "error_description");
    return Fails(error == "access_denied" ? kAccessDenied : kRefusedByIdentityServer,
                 "the provider refused the log-in: " + Quoted(error, kMostOfAnswer) +
                     (description.empty() ? "" : ", " + Quoted(talk_.secrets().CutFrom(description), kMostOfAnswer)),
                 error == "access_denied" ? "the person, or the provider's rules, said no" : "");
  }
  code_ = FieldOf(*fields, "code");
  return code_.empty() ? Fails(kRefusedByIdentityServer, "the redirect has no code") : LoginResult{};
}

// Why there are no tokens.
std::unexpected<LoginFailure> Login::RefusedCode(const oauth::HttpAnswer& answer) {
  if (auto failure = talk_.FailureOfProvider(answer, "an access token")) {
    return std::unexpected(*std::move(failure));
  }
  const auto reason = oauth::ReasonOf(talk_.secrets().CutFrom(answer));
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

LoginResult Login::Redeem() {
  auto answer = talk_.PostAsClient("Token request", "token_endpoint", talk_.metadata().token_endpoint,
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
  WipeOctets(answer->body);
  talk_.Decode("Access token", tokens_["access_token"].get<std::string>());
  return tokens_.contains("id_token") && tokens_["id_token"].is_string()
             ? LoginResult{}
             : Fails(kRefusedByIdentityServer, "the answer has no id_token",
                     "allow the client the scope openid at the provider");
}

LoginResult Login::VerifyIdToken() {
  const auto jwks = talk_.Get("The provider's keys", "jwks_uri", talk_.metadata().jwks_uri, "");
  if (!jwks) {
    return std::unexpected(jwks.error());
  }
  auto checked = oauth::CheckIdToken(tokens_["id_token"].get<std::string>(), *jwks,
                                     {.issuer = talk_.metadata().issuer,
                                      .client_id = request_.client_id,
                                      .nonce = nonce_,
                                      .access_token = tokens_["access_token"].get<std::string>(),
                                      .code = code_,
                                      .now = SystemTime()});
  talk_.record().checks.insert(talk_.record().checks.end(), checked.checks.begin(), checked.checks.end());
  talk_.record().claims = checked.claims;
  if (!checked.header.is_null()) {
    talk_.record().decoded.push_back(
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
LoginResult Login::AskUserinfo() {
  if (talk_.metadata().userinfo_endpoint.empty()) {
    return {};
  }
  const auto info = talk_.Get("Userinfo", "userinfo_endpoint", talk_.metadata().userinfo_endpoint,
                              tokens_["access_token"].get<std::string>());
  if (!info) {
    return std::unexpected(info.error());
  }
  const bool same = info->value("sub", json()) == json(talk_.record().claims["sub"]);
  talk_.record().checks.push_back({"sub of userinfo", same ? "" : "sub is another than the ID token's"});
  return same ? LoginResult{} : Fails(kRefused, "userinfo has another sub than the ID token: it is not used");
}

}  // namespace assertion::cli
