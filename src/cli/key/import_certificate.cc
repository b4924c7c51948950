// assertionctl key import-certificate

#include <CLI/CLI.hpp>
#include <utility>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/change.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ImportCertificateOptions {
  std::string client_id;
  std::string kid;
  std::string certificate_file;
  ChangeFlags change;
  bool json = false;
};

int ImportCertificate(const ImportCertificateOptions& options, const std::string& server) {
  auto certificates = ReadText(options.certificate_file);
  if (!certificates) {
    return ReportFile(certificates.error());
  }
  v1::ImportCertificateRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  request.set_certificates(std::move(*certificates));
  return Change(
      server, &Connection::ImportCertificate, request, options.change, options.json, [&](const auto& response) {
        return options.json ? WriteJson(KeyJson(response.key())) : Write("", KeyLine(response.key(), SystemTime()));
      });
}

}  // namespace

void AddKeyImportCertificate(Command& key) {
  const auto [verb, options] = key.AddVerb(
      {.name = "import-certificate",
       .summary = "Replace a key's certificate with one that a certification authority issued",
       .examples =
           "  assertionctl key import-certificate --client-id orders --kid=h3Mk… --certificate orders-chain.pem",
       .statuses = {{0, kDoneOrWaits}, {kFile, "a file cannot be read"}}},
      ImportCertificate);
  AddClientId(verb, options.client_id);
  AddRequiredKid(verb, options.kid);
  verb->add_option("--certificate", options.certificate_file,
                   "The key's certificate, then the issuer of each: PEM, at most 10 certificates and 64 KiB; or one "
                   "certificate in DER. -: standard input")
      ->required()
      ->type_name("FILE");
  AddChange(verb, options.change, nullptr);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
