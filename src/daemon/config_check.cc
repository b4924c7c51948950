#include "daemon/config_check.h"

#include <cstddef>
#include <cstdio>
#include <expected>
#include <vector>

#include "config/config.h"
#include "config/regular_file.h"
#include "daemon/exit_status.h"
#include "x509/certificate.h"
#include "x509/trust.h"

namespace assertion {
namespace {

// A start fails on these files of TLS. They may still come before it, so they are warnings here.
std::vector<std::string> TlsWarnings(const TlsConfig& tls) {
  constexpr std::size_t kMostOctets = std::size_t{8} << 20U;
  std::vector<std::string> warnings;
  const auto chain = ReadRegularFile(tls.certificate, kMostOctets);
  const auto leaf = chain ? x509::ParsePem(*chain) : std::unexpected(chain.error());
  if (!leaf) {
    warnings.push_back(tls.certificate + ": " + leaf.error().ToString());
  }
  const auto authorities = ReadRegularFile(tls.client_ca, kMostOctets);
  const auto trust =
      authorities ? x509::Trust::Load(*authorities, tls.crl_directory) : std::unexpected(authorities.error());
  if (!trust) {
    warnings.push_back(tls.client_ca + ": " + trust.error().ToString());
  }
  return warnings;
}

// A purchase fails on these files.
std::vector<std::string> TokenWarnings(const std::vector<Client>& clients) {
  constexpr std::size_t kMostOctets = std::size_t{8} << 20U;  // the system's authorities have a quarter of a MiB
  std::vector<std::string> warnings;
  for (const auto& client : clients) {
    if (!client.tokens || client.tokens->ca_file.empty()) {
      continue;
    }
    const auto& file = client.tokens->ca_file;
    const auto text = ReadRegularFile(file, kMostOctets);
    const auto first = text ? x509::ParsePem(*text) : std::unexpected(text.error());
    if (!first) {
      warnings.push_back("client '" + client.client_id + "': tokens.ca_file: " + file + ": " +
                         first.error().ToString());
    }
  }
  return warnings;
}

}  // namespace

int CheckConfig(const std::string& path) {
  const auto config = ReadConfig(path);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "%s\n", error.c_str());
    }
    return ExitStatus(Code::kConfigInvalid);
  }
  for (const auto& warning : config->warnings) {
    std::fprintf(stderr, "%s: warning: %s\n", path.c_str(), warning.c_str());
  }
  if (config->tls) {
    for (const auto& warning : TlsWarnings(*config->tls)) {
      std::fprintf(stderr, "%s: warning: tls: %s: a start fails with that\n", path.c_str(), warning.c_str());
    }
  }
  for (const auto& warning : TokenWarnings(config->clients)) {
    std::fprintf(stderr, "%s: warning: %s: no access token can be bought with that\n", path.c_str(), warning.c_str());
  }
  return 0;
}

}  // namespace assertion
