// assertionctl tls generate

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "assertion/client.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/tls/own_key.h"
#include "cli/verbs.h"
#include "keys/own_key.h"
#include "x509/certificate.h"
#include "x509/openssl.h"

namespace assertion::cli {
namespace {

struct GenerateTlsKeyOptions {
  std::string config;
  std::string common_name;
  int validity_days = 365;
  std::vector<std::string> subject_alt_names;
  bool forced = false;
};

// A server that runs would show the new certificate to its callers within seconds.
Status CheckReplacement(const std::string& path) {
  const auto text = ReadText(path);
  const auto present = text ? x509::ParsePem(*text) : std::unexpected(text.error());
  if (!present) {
    return {};
  }
  return Fail(Code::kFailedPrecondition,
              path + " holds a certificate already (" + x509::DescriptionOf(*present) +
                  "): a new key and its self-signed certificate would take its place, and callers that trust the "
                  "certificate or its authority would refuse the server; for a new certificate of the same key use tls "
                  "csr and tls import-certificate, and --force to replace both all the same");
}

Status CertifyTlsKey(const GenerateTlsKeyOptions& options, const TlsSite& site, const TokenKey& key) {
  const auto now = SystemTime();
  ASSIGN_OR_RETURN(
      const auto made,
      site.hsm.certifier->SelfSign({.key = CertifiedTlsKey(site, key),
                                    .common_name = options.common_name.empty() ? "assertiond" : options.common_name,
                                    .subject_alt_names = options.subject_alt_names,
                                    .not_before = now,
                                    .not_after = now + std::chrono::days(options.validity_days)}));
  return WriteTlsCertificate(site.config, x509::ToPem({&made.certificate, 1}));
}

// The kids of the token's TLS keys but that of tls.certificate, which another server of this token may use.
std::string OtherTlsKids(const TlsSite& site) {
  const auto keys = FindTlsKeys(*site.hsm.token);
  const auto text = ReadText(site.config.tls->certificate);
  const auto present = text ? x509::ParsePem(*text) : std::unexpected(text.error());
  std::string kids;
  for (const auto& key : keys ? *keys : std::vector<TokenKey>()) {
    if (!present || present->public_key != key.public_key) {
      kids += (kids.empty() ? "" : ", ") + KidOf(key);
    }
  }
  return kids;
}

// `others`: the TLS keys that were there before, and are not replaced.
Result<std::string> GenerateTlsKey(const GenerateTlsKeyOptions& options, std::string& others) {
  ASSIGN_OR_RETURN(const auto site, OpenTlsSite(options.config));
  if (!options.forced) {
    RETURN_IF_ERROR(CheckReplacement(site.config.tls->certificate));
  }
  others = OtherTlsKids(site);
  Report(0, "making the key of TLS on the token; this may take a minute", "");
  ASSIGN_OR_RETURN(const auto key, GenerateOwnKey(*site.hsm.token, kTlsKeyLabel, x509::RandomOctets));
  if (const auto certified = CertifyTlsKey(options, site, key); !certified) {
    // A key without a certificate is useless.
    if (const auto destroyed = site.hsm.token->DestroyKey(key.id); !destroyed) {
      return Fail(certified.error().code, certified.error().message,
                  "left on the token: CKA_ID " + Hex(key.id) + ": " + destroyed.error().ToString());
    }
    return std::unexpected(certified.error());
  }
  return "key " + KidOf(key) + " is on the token; its self-signed certificate is in " + site.config.tls->certificate +
         "\n";
}

int RunGenerateTlsKey(const GenerateTlsKeyOptions& options) {
  std::string others;
  const int status = FinishTls(GenerateTlsKey(options, others), options.config);
  if (status == 0 && !others.empty()) {
    Report(0, "the token held another TLS key of assertiond already: " + others,
           "if another server of this token uses that key, use it here too: copy that server's tls.certificate to this "
           "host, with the names of both hosts in it. assertionctl doctor shows the key that is left over");
  }
  return status != 0 || !options.subject_alt_names.empty()
             ? status
             : Report(
                   0, "the certificate names no host: clients that check the name refuse it",
                   "generate another with --san DNS:HOST, or have an authority certify the key: assertionctl tls csr "
                   "--san DNS:HOST");
}

}  // namespace

void AddTlsGenerate(Command& tls) {
  const auto [verb, options] = tls.AddVerb(
      {.name = "generate",
       .summary = "Generate a key pair on the token, and a self-signed certificate",
       .examples = "  assertionctl tls generate --config /etc/assertiond/assertiond.json --san DNS:signer.example",
       .statuses = {{kRefused, "the token refused, or tls.certificate holds a certificate already"},
                    {kFile, "the configuration, the PIN file or another file cannot be used"}}},
      RunGenerateTlsKey);
  AddTlsConfig(verb, options.config);
  verb->add_option("--common-name", options.common_name, "Common name of the certificate; default: assertiond")
      ->type_name("NAME");
  verb->add_option("--validity-days", options.validity_days, "Validity of the certificate in days; default: 365")
      ->check(CLI::Range(1, 3650))
      ->type_name("DAYS");
  AddTlsSubjectAltNames(verb, options.subject_alt_names);
  verb->add_flag(
      "--force", options.forced,
      "Replace the certificate that tls.certificate holds: callers refuse the server until they trust the new "
      "one");
}

}  // namespace assertion::cli
