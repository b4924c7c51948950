// assertionctl token request

#include <CLI/CLI.hpp>
#include <string>

#include "cli/assertion/flags.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/token_request.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct RequestTokenOptions {
  AssertionFlags assertion;
  TokenRequest token;
};

// An authorization code and what belongs to it (RFC 6749 section 4.1.3) go with that grant alone.
bool FitsGrant(const TokenRequest& token) {
  return token.grant_type == "authorization_code"
             ? !token.code.empty() && !token.redirect_uri.empty()
             : token.code.empty() && token.redirect_uri.empty() && token.code_verifier.empty();
}

int SendTokenRequest(const TokenRequest& token) {
  const auto answer = Send(token);
  if (!answer) {
    return Report(kUnreachable, answer.error().message,
                  "check --token-endpoint, and --ca-file for a certificate that this machine does not know");
  }
  if (const int status = Write("", answer->body + (answer->body.ends_with('\n') ? "" : "\n")); status != 0) {
    return status;
  }
  return IsGranted(*answer) ? 0
                            : Report(kRefusedByIdentityServer, "the identity server refused: " + ReasonOf(*answer),
                                     "compare audience, certificate and clock: assertionctl assertion create … | "
                                     "assertionctl assertion inspect");
}

int RequestToken(const RequestTokenOptions& options, const std::string& server) {
  constexpr const char* kHelp = "assertionctl token request --help";
  const auto request = AssertionRequestOf(options.assertion);
  if (!request) {
    return Report(kUsage, request.error().message, kHelp);
  }
  if (const auto endpoint = CheckTokenEndpoint(options.token.token_endpoint); !endpoint) {
    return Report(kUsage, endpoint.error().message, kHelp);
  }
  if (!FitsGrant(options.token)) {
    return Report(kUsage, "--grant authorization_code needs --code and --redirect-uri, and no other grant takes them",
                  kHelp);
  }
  return Call(server, &Connection::CreateAssertion, *request, [&](const auto& response) {
    auto token = options.token;
    token.client_id = options.assertion.client_id;
    token.client_assertion = response.assertion();
    token.client_assertion_type = response.client_assertion_type();
    return SendTokenRequest(token);
  });
}

}  // namespace

void AddTokenRequest(Command& token) {
  const auto [verb, options] = token.AddVerb(
      {.name = "request",
       .summary = "Create an assertion, send a token request with it, and print the answer",
       .examples =
           "  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token\n"
           "  assertionctl token request --client-id orders --token-endpoint https://is.example.com/oauth2/token \\\n"
           "    --grant authorization_code --code CODE --redirect-uri https://app.example.com/cb "
           "--code-verifier VERIFIER"},
      RequestToken);
  AddAssertionFlags(verb, options.assertion);
  options.token.grant_type = "client_credentials";
  AddTokenEndpoint(verb, options.token);
  verb->add_option("--grant", options.token.grant_type, "client_credentials (default) or authorization_code")
      ->check(CLI::IsMember({"client_credentials", "authorization_code"}))
      ->type_name("GRANT");
  verb->add_option("--code", options.token.code, "The authorization code")->type_name("CODE");
  verb->add_option("--redirect-uri", options.token.redirect_uri, "As in the authorization request")->type_name("URL");
  verb->add_option("--code-verifier", options.token.code_verifier, "PKCE (RFC 7636)")->type_name("TEXT");
  AddCaFile(verb, options.token.ca_file);
}

}  // namespace assertion::cli
