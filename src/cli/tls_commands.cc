// assertionctl tls generate, csr, import-certificate: the TLS server's own key on the token, and its certificate. They
// work on the token itself, as the server's user: before there is a certificate no server speaks TLS.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertion/client.h"
#include "cli/command.h"
#include "cli/text.h"
#include "config/config.h"
#include "jws/thumbprint.h"
#include "keys/own_key.h"
#include "p11/hsm_token.h"
#include "p11/module.h"
#include "x509/certificate.h"
#include "x509/certifier.h"
#include "x509/chain.h"
#include "x509/openssl.h"

namespace assertion::cli {
namespace {

constexpr int kDefaultDays = 365;

// What the verbs work with. The module goes last.
struct Workplace {
  Config config;
  std::unique_ptr<p11::HsmToken> token;
  std::unique_ptr<x509::Certifier> certifier;
};

Result<Workplace> Open(const Options& options) {
  auto config = ReadConfig(options.config);
  if (!config) {
    return Fail(Code::kConfigInvalid, config.error().front());
  }
  if (!config->tls) {
    return Fail(Code::kConfigInvalid, options.config + ": has no field tls, which names the certificate's file");
  }
  const auto& uri = config->hsms[config->RankOf(config->tls->hsm)];
  ASSIGN_OR_RETURN(auto module, p11::Module::Load(uri.module_path()));
  ASSIGN_OR_RETURN(auto info, module->FindToken(uri));
  auto token =
      p11::HsmToken::LogIn(module, std::move(info), uri.pin_path(), config->state_directory, config->lock_directory);
  ASSIGN_OR_RETURN(auto certifier, token ? x509::Certifier::New(uri.module_path()) : std::unexpected(token.error()));
  return Workplace{.config = std::move(*config), .token = std::move(*token), .certifier = std::move(certifier)};
}

// Written beside it and renamed, so that a server that reads it now sees the old or the new.
Status WriteCertificate(const std::string& path, const std::string& pem) {
  if (auto written = WriteText(path + ".new", pem); !written) {
    return written;
  }
  return std::rename((path + ".new").c_str(), path.c_str()) == 0 ? Status()
                                                                 : Fail(Code::kConfigInvalid, "cannot write " + path);
}

std::string Kid(const TokenKey& key) { return jws::JwkThumbprint(key.public_key); }

Result<std::string> Generate(const Options& options) {
  ASSIGN_OR_RETURN(const auto place, Open(options));
  const auto key = GenerateOwnKey(*place.token, kTlsKeyLabel, x509::RandomOctets);
  ASSIGN_OR_RETURN(const auto reference, key ? place.token->PrivateKeyOf(key->id) : std::unexpected(key.error()));
  const auto now = SystemTime();
  const int validity = options.new_key.validity_days == 0 ? kDefaultDays : options.new_key.validity_days;
  const auto made = place.certifier->SelfSign(
      {.private_key_uri = reference.uri,
       .public_key = key->public_key,
       .algorithm = kAlgorithms.data(),
       .common_name = options.new_key.common_name.empty() ? "assertiond" : options.new_key.common_name,
       .subject_alt_names = options.subject_alt_names,
       .not_before = now,
       .not_after = now + std::chrono::days(validity)});
  const auto written = made ? WriteCertificate(place.config.tls->certificate, x509::ToPem({&made->certificate, 1}))
                            : std::unexpected(made.error());
  if (!written) {
    // A key without its certificate is of no use to anybody.
    if (const auto destroyed = place.token->DestroyKey(key->id); !destroyed) {
      return Fail(written.error().code, written.error().message,
                  "left on the token: CKA_ID " + Hex(key->id) + ": " + destroyed.error().ToString());
    }
    return std::unexpected(written.error());
  }
  return "key " + Kid(*key) + " is on the token; its self-signed certificate is in " + place.config.tls->certificate +
         "\n";
}

// The key that the certificate's file belongs to, or the only one; `kid` chooses another.
Result<TokenKey> Choose(const Workplace& place, const std::string& kid) {
  ASSIGN_OR_RETURN(const auto keys, FindOwnKeys(*place.token, kTlsKeyLabel));
  const auto text = ReadText(place.config.tls->certificate);
  const auto present = text ? x509::ParsePem(*text) : std::unexpected(text.error());
  for (const auto& key : keys) {
    if (kid.empty() ? keys.size() == 1 || (present && present->public_key == key.public_key) : Kid(key) == kid) {
      return key;
    }
  }
  return Fail(Code::kNotFound, keys.empty() ? "the token holds no TLS key: assertionctl tls generate makes one"
                                            : "the token holds no such TLS key: name it with --kid");
}

Result<std::string> Csr(const Options& options) {
  const auto place = Open(options);
  const auto key = place ? Choose(*place, options.kid) : std::unexpected(place.error());
  ASSIGN_OR_RETURN(const auto reference, key ? place->token->PrivateKeyOf(key->id) : std::unexpected(key.error()));
  return place->certifier->CreateCsr({.private_key_uri = reference.uri,
                                      .public_key = key->public_key,
                                      .algorithm = kAlgorithms.data(),
                                      .subject = options.subject,
                                      .subject_alt_names = options.subject_alt_names});
}

Result<std::string> Import(const Options& options) {
  const auto place = Open(options);
  const auto text = place ? ReadText(options.certificate_file) : std::unexpected(place.error());
  const auto chain = text ? x509::ParseChain(*text) : std::unexpected(text.error());
  ASSIGN_OR_RETURN(const auto keys, chain ? FindOwnKeys(*place->token, kTlsKeyLabel) : std::unexpected(chain.error()));
  for (const auto& key : keys) {
    if (key.public_key != chain->front().public_key) {
      continue;
    }
    auto kept = x509::VerifyChain(*chain, key.public_key, SystemTime());
    if (kept) {
      kept = WriteCertificate(place->config.tls->certificate, x509::ToPem(*chain));
    }
    if (!kept) {
      return std::unexpected(kept.error());
    }
    return "the certificate of key " + Kid(key) + " is in " + place->config.tls->certificate +
           "; a running server takes it over by itself\n";
  }
  return Fail(Code::kInvalidArgument, "certificate: the token holds no TLS key for it");
}

int Print(const Options& options, const Result<std::string>& text) {
  if (!text) {
    const bool file = text.error().code == Code::kConfigInvalid;
    return Report(file ? kFile : kRefused, text.error().ToString(), "assertionctl tls --help");
  }
  return Write(options.out, *text);
}

void AddConfig(CLI::App* verb, Options& options) {
  verb->add_option("--config", options.config,
                   "assertiond's configuration: the key is on the HSM of its tls.hsm, tls.certificate is written")
      ->required()
      ->type_name("FILE");
}

void AddSan(CLI::App* verb, Options& options) {
  verb->add_option("--san", options.subject_alt_names, "A subject alternative name, DNS:… or IP:…; may be given again")
      ->type_name("NAME");
}

}  // namespace

void AddTlsNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "tls", "The TLS server's own key on the token; needs no server, but its PIN file");
  auto* generate =
      AddVerb(noun, "generate", "Make a key pair on the token, and a self-signed certificate",
              "  assertionctl tls generate --config /etc/assertiond/assertiond.json --san DNS:signer.example", status,
              [&options] { return Print(options, Generate(options)); });
  AddConfig(generate, options);
  generate->add_option("--common-name", options.new_key.common_name, "Default: assertiond")->type_name("NAME");
  generate->add_option("--validity-days", options.new_key.validity_days, "1 to 3650; default 365")
      ->check(CLI::Range(1, 3650))
      ->type_name("DAYS");
  AddSan(generate, options);
  auto* csr = AddVerb(noun, "csr", "A certificate signing request (PKCS#10) for the key",
                      "  assertionctl tls csr --config /etc/assertiond/assertiond.json --subject CN=signer.example "
                      "--san DNS:signer.example --out signer.csr",
                      status, [&options] { return Print(options, Csr(options)); });
  AddConfig(csr, options);
  csr->add_option("--subject", options.subject, "RFC 4514, for example CN=signer.example,O=Example")->type_name("NAME");
  AddSan(csr, options);
  csr->add_option("--kid", options.kid, "Which key, where there are several: as tls generate printed it")
      ->type_name("KID");
  AddOut(csr, options);
  auto* import = AddVerb(noun, "import-certificate", "Take over the certificate that an authority issued for the key",
                         "  assertionctl tls import-certificate --config /etc/assertiond/assertiond.json "
                         "--certificate chain.pem",
                         status, [&options] { return Print(options, Import(options)); });
  AddConfig(import, options);
  import->add_option("--certificate", options.certificate_file, "The chain in PEM, the leaf first")
      ->required()
      ->type_name("FILE");
}

}  // namespace assertion::cli
