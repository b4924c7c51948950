// assertionctl tls csr

#include <CLI/CLI.hpp>

#include "assertion/client.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/tls/own_key.h"
#include "cli/verbs.h"
#include "keys/own_key.h"
#include "x509/certificate.h"

namespace assertion::cli {
namespace {

struct TlsCsrOptions {
  std::string config;
  std::string kid;
  std::string subject;
  std::vector<std::string> subject_alt_names;
  std::string out;
};

// The key that `kid` names; by default that of tls.certificate, or the only one.
Result<TokenKey> ChooseTlsKey(const TlsSite& site, const std::string& kid) {
  ASSIGN_OR_RETURN(const auto keys, FindTlsKeys(*site.hsm.token));
  const auto text = ReadText(site.config.tls->certificate);
  const auto present = text ? x509::ParsePem(*text) : std::unexpected(text.error());
  for (const auto& key : keys) {
    if (kid.empty() ? keys.size() == 1 || (present && present->public_key == key.public_key) : KidOf(key) == kid) {
      return key;
    }
  }
  return Fail(Code::kNotFound, keys.empty() ? "the token holds no TLS key: assertionctl tls generate makes one"
                                            : "the token holds no such TLS key: name it with --kid");
}

Result<std::string> CreateTlsCsr(const TlsCsrOptions& options) {
  ASSIGN_OR_RETURN(const auto site, OpenTlsSite(options.config));
  ASSIGN_OR_RETURN(const auto key, ChooseTlsKey(site, options.kid));
  return site.hsm.certifier->CreateCsr(
      {.key = CertifiedTlsKey(site, key), .subject = options.subject, .subject_alt_names = options.subject_alt_names});
}

int RunTlsCsr(const TlsCsrOptions& options) {
  return options.subject.empty() && options.subject_alt_names.empty()
             ? Report(kUsage, "--subject or --san is required", "assertionctl tls csr --help")
             : FinishTls(CreateTlsCsr(options), options.config, options.out);
}

}  // namespace

void AddTlsCsr(Command& tls) {
  const auto [verb, options] = tls.AddVerb(
      {.name = "csr",
       .summary = "Create a certificate signing request (PKCS#10) for the key",
       .examples = "  assertionctl tls csr --config /etc/assertiond/assertiond.json --subject CN=signer.example "
                   "--san DNS:signer.example --out signer.csr",
       .statuses = {{kRefused, "the token refused"},
                    {kFile, "the configuration, the PIN file or another file cannot be used"}}},
      RunTlsCsr);
  AddTlsConfig(verb, options.config);
  verb->add_option("--subject", options.subject,
                   "Distinguished name as in RFC 4514, for example CN=signer.example,O=Example; this or --san is "
                   "required")
      ->type_name("NAME");
  AddTlsSubjectAltNames(verb, options.subject_alt_names);
  verb->add_option(
          "--kid", options.kid,
          "Id of the key, as tls generate printed it; default: the key of the certificate's file, or the only key")
      ->type_name("KID");
  AddOut(verb, options.out);
}

}  // namespace assertion::cli
