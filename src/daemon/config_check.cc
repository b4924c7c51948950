#include "daemon/config_check.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/token_source.h"
#include "config/config.h"
#include "config/document.h"
#include "daemon/exit_status.h"
#include "keys/own_key.h"
#include "oauth/authorities.h"
#include "p11/private_file.h"
#include "x509/regular_file.h"
#include "x509/trust.h"

namespace assertion {
namespace {

constexpr std::size_t kMostOctets = std::size_t{8} << 20U;  // of a file

// A start fails on these files of TLS. They may still come before it, so they are warnings here.
std::vector<std::string> TlsWarnings(const std::optional<TlsConfig>& tls) {
  constexpr const char* kStartFails = ": a start fails with that";
  std::vector<std::string> warnings;
  if (!tls) {
    return warnings;
  }
  const auto chain = x509::ReadRegularFile(tls->certificate, kMostOctets);
  const auto key = chain ? TlsPublicKey(*chain) : std::unexpected(chain.error());
  if (!key) {
    warnings.push_back("tls.certificate: " + tls->certificate + ": " + key.error().ToString() + kStartFails);
  }
  const auto authorities = x509::ReadRegularFile(tls->client_ca, kMostOctets);
  const auto trust =
      authorities ? x509::Trust::Load(*authorities, tls->crl_directory) : std::unexpected(authorities.error());
  if (!trust) {
    warnings.push_back("tls.client_ca: " + tls->client_ca + ": " + trust.error().ToString() + kStartFails);
  }
  return warnings;
}

// False: it is certain that no entry of `listed` is for a caller that the entry `caller` lets in. A certificate may
// have names of both kinds.
bool MayBeListed(std::string_view caller, const std::vector<std::string>& listed) {
  const auto kind = [](std::string_view entry) { return entry.substr(0, entry.find(':')); };
  constexpr std::string_view kUser = "uid";
  return std::ranges::any_of(listed, [&](std::string_view entry) {
    if (kind(entry) != kind(caller)) {
      return kind(entry) != kUser && kind(caller) != kUser;
    }
    return entry == caller || (entry.ends_with("/*") && caller.starts_with(entry.substr(0, entry.size() - 1)));
  });
}

// `client`: one of `clients`.
std::string PathOf(const Client& client, const Clients& clients) {
  return "clients[" + std::to_string(&client - clients.begin()) + "]";
}

// Callers who may have tokens that are bound to another client's key, and no proofs by this key to use them with.
std::vector<std::string> ProofWarnings(const Clients& clients) {
  constexpr std::size_t kMostNamed = 3;
  std::map<std::string_view, const Client*> by_id;
  for (const auto& client : clients) {
    by_id.emplace(client.client_id, &client);
  }
  std::vector<std::string> warnings;
  for (const auto& client : clients) {
    const auto signer = client.tokens ? by_id.find(client.tokens->dpop_client) : by_id.end();
    if (signer == by_id.end()) {
      continue;
    }
    std::size_t lacking = 0;
    std::string named;
    for (const auto& caller : client.callers) {
      if (!MayBeListed(caller, signer->second->callers) && ++lacking <= kMostNamed) {
        named.append(named.empty() ? "" : ", ").append(caller);
      }
    }
    if (lacking > 0) {
      if (lacking > kMostNamed) {
        named.append(" and ").append(std::to_string(lacking - kMostNamed)).append(" more");
      }
      warnings.push_back(PathOf(client, clients) + ".tokens.dpop_client: client '" + client.tokens->dpop_client +
                         "' does not list all callers of client '" + client.client_id +
                         "', and a bound token is of no use without its proofs: "
                         "add to its callers: " +
                         named);
    }
  }
  return warnings;
}

// A start fails without these files. The configuration may be checked on another machine than it is for.
std::vector<std::string> HsmWarnings(const std::vector<HsmSettings>& hsms) {
  std::vector<std::string> warnings;
  for (const auto& hsm : hsms) {
    for (const auto& [what, path] :
         {std::pair{"module", hsm.uri.module_path()}, std::pair{"PIN file", hsm.uri.pin_path()}}) {
      // Another user's start may read what is hidden from this one.
      if (access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        warnings.push_back(std::string("hsm: ") + what + " " + path +
                           ": this machine has no such file: a start fails with that");
      }
    }
    if (p11::IsOpenToOthers(hsm.uri.pin_path())) {
      warnings.push_back("hsm: PIN file " + hsm.uri.pin_path() +
                         ": others than its owner may open it: a start fails with that; chmod 600 mends it");
    }
  }
  return warnings;
}

// The last client is kube-apiserver's, if there is one: its callers stand elsewhere.
std::size_t CallableClients(const Config& config) { return config.clients.size() - (config.kubernetes ? 1 : 0); }

// What is allowed and leaves nobody who may call.
std::vector<std::string> AccessWarnings(const Config& config) {
  std::vector<std::string> warnings;
  if (config.operators.empty()) {
    warnings.emplace_back("operators: there is none: nobody can generate or rotate keys");
  }
  for (const auto& client : std::span(config.clients).first(CallableClients(config))) {
    if (client.callers.empty()) {
      warnings.push_back(PathOf(client, config.clients) +
                         ".callers: there is none: nobody gets an assertion of client '" + client.client_id + "'");
    }
  }
  return warnings;
}

// The line of each value that a shipped file leaves to its user.
void WarnOfPlaceholders(const std::string& path, const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.contains("CHANGE-ME")) {
      std::fprintf(stderr, "%s:%d: warning: CHANGE-ME stands for a value of yours\n", path.c_str(), number);
    }
  }
}

// Each with the line of the field that it begins with.
void Warn(const std::string& path, const Node& document, const std::vector<std::string>& warnings) {
  for (const auto& warning : warnings) {
    const auto line = LineOf(document, std::string_view(warning).substr(0, warning.find(": ")));
    std::fprintf(stderr, "%s:%s warning: %s\n", path.c_str(), line == 0 ? "" : (std::to_string(line) + ":").c_str(),
                 warning.c_str());
  }
}

bool BuysOverTls(const TokenSource& source) {
  return (source.issuer.empty() ? source.token_endpoint : source.issuer).starts_with("https://");
}

// Many clients may name one file, or none and so the system's: it is read once.
void AppendAuthorityWarnings(const Clients& clients, std::vector<std::string>& warnings) {
  std::map<std::string, std::vector<const Client*>> clients_of;  // by file
  for (const auto& client : clients) {
    if (client.tokens && (!client.tokens->ca_file.empty() || BuysOverTls(*client.tokens))) {
      clients_of[client.tokens->ca_file].push_back(&client);
    }
  }
  for (const auto& [file, users] : clients_of) {
    if (const auto usable = oauth::CheckAuthorities(file); !usable) {
      const auto others = users.size() == 1 ? "" : " and " + std::to_string(users.size() - 1) + " more";
      warnings.push_back(PathOf(*users.front(), clients) + ".tokens.ca_file: " + usable.error().ToString() +
                         ": no access token of client '" + users.front()->client_id + "'" + others +
                         " can be bought with that");
    }
  }
}

}  // namespace

std::expected<Config, std::vector<std::string>> ReadConfigAndAuthorities(const std::string& path) {
  auto config = ReadConfig(path);
  if (config) {
    AppendAuthorityWarnings(config->clients, config->warnings);
  }
  return config;
}

int CheckConfig(const std::string& path) {
  const auto config = ReadConfigAndAuthorities(path);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "%s\n", error.c_str());
    }
    return ExitStatus(Code::kConfigInvalid);
  }
  const auto text = x509::ReadRegularFile(path, kMostOctets).value_or("");
  WarnOfPlaceholders(path, text);
  const auto document = ParseDocument(text).value_or(Node());
  for (const auto& warnings : {config->warnings, HsmWarnings(config->hsms), AccessWarnings(*config),
                               ProofWarnings(config->clients), TlsWarnings(config->tls)}) {
    Warn(path, document, warnings);
  }
  const auto clients = CallableClients(*config);
  std::printf("%s: correct, with %zu client%s\n", path.c_str(), clients, clients == 1 ? "" : "s");
  return std::fflush(stdout) == 0 ? 0 : kExitWrongCommandLine;
}

}  // namespace assertion
