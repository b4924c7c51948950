#pragma once

#include <memory>
#include <string>

#include "assertion/error.h"
#include "assertion/token.h"
#include "cli/opened_hsm.h"
#include "config/config.h"
#include "x509/certifier.h"

namespace CLI {
class App;
}

namespace assertion::cli {

// The verbs of `assertionctl tls` work on the token itself, as the server's user: before there is a certificate no
// server speaks TLS.

// The configuration, and the HSM of its tls.hsm.
struct TlsSite {
  Config config;
  OpenedHsm hsm;
};

Result<TlsSite> OpenTlsSite(const std::string& config_path);

// Writes tls.certificate beside the file and renames it, so that a server that reads it now sees the old or the new.
// The draft has a fresh name: a file or link that another user has put there is neither written nor followed.
Status WriteTlsCertificate(const Config& config, const std::string& pem);

std::string KidOf(const TokenKey& key);

x509::CertifiedKey CertifiedTlsKey(const TlsSite& site, const TokenKey& key);

// Prints the text to the file, or to standard output for "", or reports the error of a verb that read the configuration
// at `config`; returns the exit status.
int FinishTls(const Result<std::string>& text, const std::string& config, const std::string& out = "");

// Flags of several of the verbs.
void AddTlsConfig(CLI::App* verb, std::string& path);
void AddTlsSubjectAltNames(CLI::App* verb, std::vector<std::string>& names);

}  // namespace assertion::cli
