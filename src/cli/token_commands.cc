// assertionctl token request.

#include <CLI/CLI.hpp>
#include <tuple>

#include "cli/assertion_request.h"
#include "cli/call.h"
#include "cli/token_request.h"

namespace assertion::cli {
namespace {

int RequestToken(Options& options) {
  const auto request = AssertionRequestOf(options);
  const auto endpoint = CheckTokenEndpoint(options.token.token_endpoint);
  if (!request || !endpoint) {
    return Report(kUsage, request ? endpoint.error().message : request.error().message,
                  "assertionctl token request --help");
  }
  const bool with_code = options.grant == "authorization_code";
  const auto& [code, redirect_uri, verifier] =
      std::tie(options.token.code, options.token.redirect_uri, options.token.code_verifier);
  if (with_code ? code.empty() || redirect_uri.empty() : !code.empty() || !redirect_uri.empty() || !verifier.empty()) {
    return Report(kUsage, "--grant authorization_code needs --code and --redirect-uri, and no other grant takes them",
                  "assertionctl token request --help");
  }
  return Call<v1::CreateAssertionRequest, v1::CreateAssertionResponse>(
      options, &Connection::CreateAssertion, *request, [&](const auto& response) {
        auto& token = options.token;
        token.client_id = options.client_id;
        token.grant_type = options.grant;
        token.client_assertion = response.assertion();
        token.client_assertion_type = response.client_assertion_type();
        const auto answer = Send(token);
        if (!answer) {
          return Report(kUnreachable, answer.error().message,
                        "check --token-endpoint, and --ca-file for a certificate that this machine does not know");
        }
        if (const int status = Write("", answer->body + (answer->body.ends_with('\n') ? "" : "\n")); status != 0) {
          return status;
        }
        if (!IsGranted(*answer)) {
          return Report(kRefusedByIdentityServer, "the identity server refused: " + ReasonOf(*answer),
                        "compare audience, certificate and clock: assertionctl assertion create … | assertionctl "
                        "assertion inspect");
        }
        return 0;
      });
}

}  // namespace

void AddTokenNoun(CLI::App& app, Options& options, int& status) {
  auto* request = AddVerb(
      AddNoun(app, "token", "Access tokens of an identity server"), "request",
      "Make an assertion, send the token request, print the answer",
      "  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token\n"
      "  assertionctl token request --client-id orders --token-endpoint https://is.example.com/oauth2/token \\\n"
      "    --grant authorization_code --code CODE --redirect-uri https://app.example.com/cb --code-verifier VERIFIER",
      status, [&options] { return RequestToken(options); });
  AddAssertionOptions(request, options);
  auto& token = options.token;
  AddTokenEndpoint(request, token);
  request->add_option("--grant", options.grant, "client_credentials (default) or authorization_code")
      ->check(CLI::IsMember({"client_credentials", "authorization_code"}))
      ->type_name("GRANT");
  request->add_option("--code", token.code, "The authorization code")->type_name("CODE");
  request->add_option("--redirect-uri", token.redirect_uri, "As in the authorization request")->type_name("URL");
  request->add_option("--code-verifier", token.code_verifier, "PKCE (RFC 7636)")->type_name("TEXT");
  AddCaFile(request, token.ca_file);
}

}  // namespace assertion::cli
