// assertionctl oidc login

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "assertion/foreign_text.h"
#include "cli/browser.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/oidc/login.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "config/duration.h"

namespace assertion::cli {
namespace {

constexpr std::size_t kMostOfSubject = 300;

struct LoginOptions {
  LoginRequest request;
  bool no_browser = false;
  bool json = false;
};

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

// The browser is sent, and the log-in goes its way.
LoginResult LogInWithBrowser(Login& login, bool no_browser) {
  const auto url = login.Begin();
  if (!url) {
    return std::unexpected(url.error());
  }
  std::fprintf(stderr, "Log in at this address:\n%s\n", Printable(*url).c_str());
  auto file = no_browser ? Result<std::optional<EntranceFile>>() : OpenBrowser(*url);
  if (!file) {
    return Fails(kFile, file.error().ToString());
  }
  if (auto came = login.Await(); !came) {
    return came;
  }
  file->reset();
  return login.Finish();
}

int LogIn(const LoginOptions& options, const std::string& server) {
  Login login(options.request, server);
  const auto ended = LogInWithBrowser(login, options.no_browser);
  auto record = login.Record();
  int written = 0;
  if (options.json) {
    record.failure = ended ? "" : ended.error().what;
    written = WriteJson(LoginJson(record));
  }
  if (!ended) {
    return Report(ended.error().status, ended.error().what, ended.error().next);
  }
  return options.json ? written
                      : Write("", "logged in as " + Shown(record.claims["sub"].get<std::string>(), kMostOfSubject) +
                                      "; all " + std::to_string(record.checks.size()) + " checks are good\n");
}

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
  AddClientId(verb, options.request.client_id);
  verb->add_option("--issuer", options.request.issuer, "The provider's issuer, octet for octet")
      ->required()
      ->type_name("URL");
  verb->add_option("--audience", options.request.audience,
                   "The claim aud of the assertions; default: the client's first configured audience")
      ->type_name("URL");
  verb->add_option("--scope", options.request.scope, "Scopes, separated by blanks; openid must be one")
      ->type_name("SCOPE")
      ->capture_default_str();
  verb->add_option("--redirect-uri", options.request.redirect_uri,
                   "Where the browser comes back to; port 0: any free one")
      ->type_name("URL")
      ->capture_default_str();
  verb->add_option_function<std::string>(
          "--timeout", [&wanted = options.request.timeout](const std::string& text) { wanted = TakeTimeout(text); },
          "How long to wait until the browser comes back, with s, m or h, at most 24h; without a unit: seconds")
      ->type_name("300s")
      ->default_str("300s");
  verb->add_flag("--no-browser", options.no_browser, "Only print the address");
  AddCaFile(verb, options.request.ca_file);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
