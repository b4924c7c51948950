// assertionctl certificate get

#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct GetCertificateOptions {
  std::string client_id;
  std::string kid;
  std::string format = "pem";
  std::string out;
};

int GetCertificate(const GetCertificateOptions& options, const std::string& server) {
  v1::GetCertificateRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Call(server, &Connection::GetCertificate, request, [&](const auto& response) {
    return options.format == "der" ? WriteOctets(options.out, response.der()) : Write(options.out, response.pem());
  });
}

}  // namespace

void AddCertificateGet(Command& certificate) {
  const auto [verb, options] =
      certificate.AddVerb({.name = "get",
                           .summary = "Get the certificate of a client's key, for the identity server",
                           .examples = "  assertionctl certificate get --client-id orders --out orders.pem",
                           .statuses = {{kFile, "a file cannot be written"}}},
                          GetCertificate);
  AddClientId(verb, options.client_id);
  AddDefaultedKid(verb, options.kid);
  verb->add_option("--format", options.format, "pem: the chain, leaf first; der: the leaf alone; default: pem")
      ->check(OneOf({"pem", "der"}))
      ->type_name("FORMAT");
  AddOut(verb, options.out);
}

}  // namespace assertion::cli
