// assertionctl token get

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/clock.h"
#include "assertion/secret.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/received_token.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/token/advice.h"
#include "cli/verbs.h"
#include "config/duration.h"
#include "p11/pin.h"

namespace assertion::cli {
namespace {

constexpr const char* kGetHelp = "assertionctl token get --help";

struct GetTokenOptions {
  std::string client_id;
  std::string scope;
  std::string resource;
  std::string minimum_validity;  // digits and s, m or h
  bool json = false;
};

// The answer of the HTTP front (RFC 6749 section 5.1), and the instant of which it has the distance.
int WriteTokenJson(const v1::GetAccessTokenResponse& token, Time now) {
  const auto expires_at = ToTime(token.expires_at());
  nlohmann::ordered_json json = {
      {"access_token", token.access_token()},
      {"token_type", token.token_type()},
      {"expires_in", std::max(std::chrono::seconds::zero(), std::chrono::seconds(expires_at - now)).count()}};
  if (!token.scope().empty()) {
    json["scope"] = token.scope();
  }
  if (!token.kid().empty()) {
    json["kid"] = token.kid();
  }
  json["expires_at"] = Rfc3339(expires_at);
  const int status = WriteJson(json);
  WipeOctets(json["access_token"].get_ref<std::string&>());
  return status;
}

// For a person, who cannot see it in the token.
void TellExpiry(const v1::GetAccessTokenResponse& token, Time now) {
  const auto expires_at = ToTime(token.expires_at());
  Report(0,
         "this " + token.token_type() + " token expires on " + Rfc3339(expires_at) + " (" + Relative(expires_at, now) +
             ")" + (token.scope().empty() ? "" : "; its scope is \"" + token.scope() + "\""),
         token.kid().empty() ? ""
                             : "each use needs a DPoP proof by the key " + token.kid() +
                                   ": assertionctl dpop create --access-token-fd 0 hashes the token for it");
}

// As AdviceOn, where a token is asked for and no key is changed.
std::string AdviceOnToken(const Error& error) {
  switch (error.code) {
    case Code::kDeadlineExceeded:
      return "ask again: assertiond keeps the token that it is buying; its log shows what took long";
    case Code::kFailedPrecondition:
      if (error.message.starts_with("minimum_validity:")) {
        return "ask for less with --minimum-validity";
      }
      if (error.message.starts_with("client_id:")) {
        return "add clients[].tokens to assertiond's configuration and reload it: systemctl reload assertiond; if the "
               "file has it already, assertionctl status says whether the reload was refused; or send a token request "
               "yourself: assertionctl token request";
      }
      if (error.message.contains("the identity server")) {
        return "compare clients[].tokens in assertiond's configuration with the client at the identity server; "
               "assertiond's audit log has the purchase: the event BuyAccessToken";
      }
      return AdviceOn(error);
    case Code::kUnavailable: {
      const auto of_certificate = AdviceOnCertificate(error.message);
      return of_certificate.empty() ? AdviceOn(error) : of_certificate;
    }
    default:
      return AdviceOn(error);
  }
}

int GetToken(const GetTokenOptions& options, const std::string& server) {
  v1::GetAccessTokenRequest request;
  request.set_client_id(options.client_id);
  request.set_scope(options.scope);
  request.set_resource(options.resource);
  if (!options.minimum_validity.empty()) {
    const auto validity = ParseDuration(options.minimum_validity);
    if (!validity) {
      return Report(kUsage, "--minimum-validity must be digits and s, m or h, for example 60s", kGetHelp);
    }
    request.mutable_minimum_validity()->set_seconds(validity->count());
  }
  // gRPC keeps copies of the token that cannot be wiped, so no core file and no debugger may see them.
  if (!p11::DenyInspection()) {
    return Report(kRefused, "no token is asked for: this process cannot be shielded: setrlimit, prctl",
                  "allow both calls where this runs, for example in its seccomp filter");
  }
  auto connection = Connection::Open(server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  auto token = Ask(*connection, &Connection::GetAccessToken, request);
  if (!token) {
    return Report(kRefused, token.error().message, AdviceOnToken(token.error()));
  }
  if (const auto received = CheckReceived("access token", token->access_token()); !received) {
    WipeOctets(*token->mutable_access_token());
    return ReportReceived(received.error());
  }
  const auto now = SystemTime();
  const int status = options.json ? WriteTokenJson(*token, now) : Write("", token->access_token() + "\n");
  WipeOctets(*token->mutable_access_token());
  if (status == 0 && !options.json && IsTerminal()) {
    TellExpiry(*token, now);
  }
  return status;
}

}  // namespace

void AddTokenGet(Command& token) {
  const auto [verb, options] = token.AddVerb(
      {.name = "get",
       .summary = "Get an access token that assertiond buys and keeps for all callers of the client, and print it",
       .examples =
           "  assertionctl token get --client-id orders\n"
           "  assertionctl token get --client-id orders --scope orders.read --minimum-validity 5m\n"
           "  curl https://api.example.com/orders -H @<(printf 'Authorization: Bearer '; assertionctl token get "
           "--client-id orders)",
       .notes = "The client needs clients[].tokens in assertiond's configuration. The token is a credential until it "
                "expires:\n"
                "keep it out of files, logs and command lines, which other users of this machine can read. Get it "
                "again for\n"
                "each use: assertiond answers from memory and replaces it in time.",
       .statuses = {{kRefused, "assertiond refused, or could not buy a token"}}},
      GetToken);
  AddClientId(verb, options.client_id);
  verb->add_option("--scope", options.scope,
                   "Scopes of clients[].tokens.scopes, separated by blanks; default: all that you may have")
      ->type_name("SCOPE");
  verb->add_option("--resource", options.resource,
                   "The API that the token is for (RFC 8707), one of clients[].tokens.resources; default: none named")
      ->type_name("URI");
  verb->add_option("--minimum-validity", options.minimum_validity,
                   "How long the token must be valid at least, from 1s to 1h; default: 30s")
      ->type_name("SPAN");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
