// assertionctl tls import-certificate

#include <CLI/CLI.hpp>
#include <algorithm>

#include "assertion/clock.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/tls/own_key.h"
#include "cli/verbs.h"
#include "keys/own_key.h"
#include "x509/certificate.h"
#include "x509/chain.h"

namespace assertion::cli {
namespace {

struct ImportTlsCertificateOptions {
  std::string config;
  std::string certificate_file;
};

Result<std::string> ImportTlsCertificate(const ImportTlsCertificateOptions& options) {
  ASSIGN_OR_RETURN(const auto site, OpenTlsSite(options.config));
  ASSIGN_OR_RETURN(const auto text, ReadText(options.certificate_file));
  ASSIGN_OR_RETURN(const auto chain, x509::ParseChain(text));
  ASSIGN_OR_RETURN(const auto keys, FindTlsKeys(*site.hsm.token));
  const auto key = std::ranges::find_if(
      keys, [&](const TokenKey& candidate) { return candidate.public_key == chain.front().public_key; });
  if (key == keys.end()) {
    return Fail(Code::kInvalidArgument, "certificate: the token holds no TLS key for it");
  }
  RETURN_IF_ERROR(x509::VerifyChain(chain, key->public_key, SystemTime()));
  RETURN_IF_ERROR(WriteTlsCertificate(site.config, x509::ToPem(chain)));
  return "the certificate of key " + KidOf(*key) + " is in " + site.config.tls->certificate +
         "; a running server takes it over by itself\n";
}

int RunImportTlsCertificate(const ImportTlsCertificateOptions& options) {
  return FinishTls(ImportTlsCertificate(options), options.config);
}

}  // namespace

void AddTlsImportCertificate(Command& tls) {
  const auto [verb, options] =
      tls.AddVerb({.name = "import-certificate",
                   .summary = "Install the certificate that an authority issued for the key",
                   .examples = "  assertionctl tls import-certificate --config /etc/assertiond/assertiond.json "
                               "--certificate chain.pem",
                   .statuses = {{kRefused, "the token refused"},
                                {kFile, "the configuration, the PIN file or another file cannot be used"}}},
                  RunImportTlsCertificate);
  AddTlsConfig(verb, options.config);
  verb->add_option("--certificate", options.certificate_file, "The chain in PEM, the leaf first; -: standard input")
      ->required()
      ->type_name("FILE");
}

}  // namespace assertion::cli
