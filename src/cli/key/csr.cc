// assertionctl key csr

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct KeyCsrOptions {
  std::string client_id;
  std::string kid;
  std::string subject;
  std::vector<std::string> subject_alt_names;
  std::string out;
};

Result<v1::CreateCsrResponse> CreateKeyCsr(const KeyCsrOptions& options, const std::string& server) {
  ASSIGN_OR_RETURN(auto connection, Connection::Open(server));
  ASSIGN_OR_RETURN(const auto kid, KidOrSigning(connection, options.client_id, options.kid));
  v1::CreateCsrRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(kid);
  request.set_subject(options.subject);
  for (const auto& name : options.subject_alt_names) {
    request.add_subject_alt_names(name);
  }
  return Ask(connection, &Connection::CreateCsr, request);
}

int RunKeyCsr(const KeyCsrOptions& options, const std::string& server) {
  const auto response = CreateKeyCsr(options, server);
  if (!response && response.error().message.starts_with("subject")) {  // of the certificate, not of assertions
    return Report(kRefused, response.error().message,
                  "write --subject as in RFC 4514, for example 'CN=orders,O=Example Ltd,C=DE', and --san as DNS:…, "
                  "URI:…, email:… or IP:…");
  }
  return response ? Write(options.out, response->csr_pem()) : ReportCall(response.error());
}

}  // namespace

void AddKeyCsr(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "csr",
                   .summary = "Create a certificate signing request (PKCS#10) in PEM, signed by the key in the token",
                   .examples = "  assertionctl key csr --client-id orders --out orders.csr\n"
                               "  assertionctl key csr --client-id orders --subject 'CN=orders,O=Example Ltd,C=DE' \\\n"
                               "    --san DNS:orders.example.com --san URI:spiffe://example.com/orders",
                   .statuses = {{kFile, "a file cannot be written"}}},
                  RunKeyCsr);
  AddClientId(verb, options.client_id);
  AddDefaultedKid(verb, options.kid);
  verb->add_option("--subject", options.subject, "Distinguished name as in RFC 4514; default: CN= and the client id")
      ->type_name("NAME");
  verb->add_option(
          "--san", options.subject_alt_names,
          "Subject alternative name, DNS:…, URI:…, email:… or IP:…; may be repeated, at most 100; default: none")
      ->allow_extra_args(false)
      ->type_name("NAME");
  AddOut(verb, options.out);
}

}  // namespace assertion::cli
