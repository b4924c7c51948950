#include "cli/tls/own_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "assertion/descriptor.h"
#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/text.h"
#include "jws/thumbprint.h"
#include "x509/general_name.h"

namespace assertion::cli {

namespace {

// Empty: it is a name. Without its kind, the kind that fits is named.
std::string WhyNoName(const std::string& name) {
  const auto parsed = x509::ParseGeneralName(name);
  if (parsed) {
    return "";
  }
  for (const auto* kind : {"IP:", "DNS:"}) {
    if (x509::ParseGeneralName(kind + name)) {
      return '"' + name + "\" lacks its kind; did you mean \"" + std::string(kind).append(name) + "\"?";
    }
  }
  return parsed.error().message;
}

std::string AdviceOnTls(const Error& error, const std::string& config) {
  const auto file = QuotedForShell(config);
  switch (error.code) {
    case Code::kConfigInvalid:
      if (error.message.contains("has no field tls")) {
        return "add tls with listen, certificate and client_ca to it, as deploy/docs/mutual-tls.md does, then run this "
               "again";
      }
      return error.message.starts_with(config)
                 ? "assertiond --check-config " + file + " lists all that is wrong with it"
                 : "correct what the message names, or give another file";
    case Code::kPinUnreadable:
    case Code::kPinExposed:
      return "run this as the server's user, who alone may read the PIN file: pin-source in " + config + " names it";
    case Code::kFailedPrecondition:  // the message names the verbs
      return "assertionctl tls csr --config " + file + " --san DNS:HOST";
    case Code::kNotFound:
      return error.message.contains("--kid") ? "assertionctl doctor --config " + file + " shows the kids of TLS keys"
                                             : "assertionctl tls generate --config " + file + " --san DNS:HOST";
    case Code::kInvalidArgument:
      return error.message.starts_with("certificate")
                 ? "name the authority's answer to this key's request, the leaf first: "
                   "assertionctl tls csr makes a request"
                 : "correct what the message names: assertionctl tls --help";
    default:
      return "assertionctl doctor --config " + file + " checks module, token and login";
  }
}

}  // namespace

Result<TlsSite> OpenTlsSite(const std::string& config_path) {
  auto config = ReadConfig(config_path);
  if (!config) {
    return Fail(Code::kConfigInvalid, config.error().front());
  }
  if (!config->tls) {
    return Fail(Code::kConfigInvalid, config_path + ": has no field tls, which names the certificate's file");
  }
  p11::Modules modules;
  ASSIGN_OR_RETURN(auto hsm, OpenHsm(*config, config->RankOf(config->tls->hsm), modules, [](auto&&...) {}));
  return TlsSite{.config = std::move(*config), .hsm = std::move(hsm)};
}

Status WriteTlsCertificate(const Config& config, const std::string& pem) {
  constexpr mode_t kPublic = 0644;
  const auto& path = config.tls->certificate;
  auto draft = path + ".XXXXXX";
  const Descriptor file(mkostemp(draft.data(), O_CLOEXEC));
  if (file.get() >= 0 && fchmod(file.get(), kPublic) == 0 && WriteAll(file, pem) && fsync(file.get()) == 0 &&
      rename(draft.c_str(), path.c_str()) == 0) {
    return {};
  }
  auto failed = Fail(Code::kConfigInvalid, "cannot write " + path + ": " + std::strerror(errno));
  if (file.get() >= 0) {
    unlink(draft.c_str());
  }
  return failed;
}

std::string KidOf(const TokenKey& key) { return jws::JwkThumbprint(key.public_key); }

x509::CertifiedKey CertifiedTlsKey(const TlsSite& site, const TokenKey& key) {
  return {.token = site.hsm.token.get(), .id = key.id, .public_key = key.public_key, .algorithm = kAlgorithms.data()};
}

int FinishTls(const Result<std::string>& text, const std::string& config, const std::string& out) {
  if (!text) {
    const auto code = text.error().code;
    const bool file = code == Code::kConfigInvalid || code == Code::kPinUnreadable || code == Code::kPinExposed;
    return Report(file ? kFile : kRefused, text.error().ToString(), AdviceOnTls(text.error(), config));
  }
  return Write(out, *text);
}

void AddTlsConfig(CLI::App* verb, std::string& path) {
  verb->add_option(
          "--config", path,
          "assertiond's configuration: tls.hsm names the HSM with the key, tls.certificate the certificate's file")
      ->required()
      ->type_name("FILE");
}

void AddTlsSubjectAltNames(CLI::App* verb, std::vector<std::string>& names) {
  verb->add_option("--san", names, "A subject alternative name, DNS:… or IP:…; may be repeated; default: none")
      ->check(CLI::Validator(WhyNoName, ""))
      ->type_name("NAME");
}

}  // namespace assertion::cli
