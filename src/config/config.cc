#include "config/config.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <utility>

#include "assertion/token_uri.h"
#include "config/document.h"
#include "config/fields.h"
#include "config/identity.h"
#include "config/sections.h"
#include "jws/thumbprint.h"
#include "x509/regular_file.h"

namespace assertion {
namespace {

constexpr std::size_t kMaxFileSize = std::size_t{8} << 20U;

void CutWarnings(std::vector<std::string>& warnings) {
  constexpr std::size_t kMostWarnings = 20;
  if (warnings.size() > kMostWarnings) {
    const auto more = warnings.size() - kMostWarnings;
    warnings.resize(kMostWarnings);
    warnings.push_back("and " + std::to_string(more) + " more warnings");
  }
}

}  // namespace

std::expected<Config, std::vector<std::string>> ParseConfig(std::string_view text,
                                                            const std::string& default_state_directory) {
  const auto document = ParseDocument(text);
  if (!document) {
    return std::unexpected(std::vector{document.error()});
  }
  Errors errors;
  Fields fields(*document, "", errors);
  Identities identities;
  Config config;
  config.state_directory = default_state_directory;
  ReadHsms(fields, config);
  ReadSocket(fields, config);
  ReadDirectories(fields, config);
  ReadSessions(fields, config);
  ReadLedger(fields, config);
  ReadIntervals(fields, config);
  ReadAudit(fields, config);
  ReadTls(fields, config);
  ReadHttpListeners(fields, config);
  ReadOperators(fields, identities, config);
  ReadTwoPersonRule(fields, config);
  ReadKeyLimits(fields, config);
  ReadCallerRate(fields, config);
  ReadRefusals(fields, config);
  ReadConnections(fields, config);
  auto clients = ReadClients(fields, identities, config);
  ReadKubernetesSigner(fields, identities, config, clients);
  config.clients = std::move(clients);
  fields.RefuseTheRest();
  if (!errors.empty()) {
    return std::unexpected(errors.Take());
  }
  CutWarnings(config.warnings);
  config.sha256 = jws::Sha256Hex(AsBytes(text));
  return config;
}

std::expected<Config, std::vector<std::string>> ReadConfig(const std::string& path) {
  const auto text = x509::ReadRegularFile(path, kMaxFileSize);
  if (!text) {
    return std::unexpected(std::vector{path + ": " + text.error().message});
  }
  std::string state_directory = std::filesystem::absolute(path).parent_path().string();
  if (const char* from_systemd = std::getenv("STATE_DIRECTORY"); from_systemd != nullptr && *from_systemd == '/') {
    const std::string_view list = from_systemd;
    state_directory = list.substr(0, list.find(':'));
  }
  auto config = ParseConfig(*text, state_directory);
  if (!config) {
    for (auto& error : config.error()) {
      error.insert(0, path + ":");
    }
  }
  return config;
}

std::size_t Config::RankOf(std::string_view hsm) const {
  const auto found = std::ranges::find(hsms, hsm, &HsmSettings::token_label);
  return hsm.empty() || found == hsms.end() ? 0 : static_cast<std::size_t>(std::distance(hsms.begin(), found));
}

std::string Config::LedgerPath(std::size_t rank, const std::string& serial) const {
  if (rank == 0) {
    return ledger_path;
  }
  auto name = serial;
  std::ranges::replace(name, '/', '_');
  return ledger_path + "." + name;
}

std::vector<std::string> FieldsThatNeedARestart(const Config& before, const Config& after) {
  std::vector<std::string> fields;
  const auto compare = [&](const char* field, bool same) {
    if (!same) {
      fields.emplace_back(field);
    }
  };
  // Names every member, so that the author of a new one decides here whether a reload takes it over. The last ones it
  // does.
  const auto& [hsms, socket_path, socket_group, token_socket_path, token_socket_group, state_directory, lock_directory,
               sessions, ledger_path, refresh_interval, drain_limit, http_host, http_port, admin_host, admin_port,
               audit, tls, refusals, connections, operators, two_person_rule, key_limits, caller_rate, clients,
               kubernetes, warnings, sha256] = before;
  compare("hsm", hsms == after.hsms);
  compare("listen", socket_path == after.socket_path);
  compare("listen_group", socket_group == after.socket_group);
  compare("token_listen", token_socket_path == after.token_socket_path);
  compare("token_listen_group", token_socket_group == after.token_socket_group);
  compare("state_directory", state_directory == after.state_directory);
  compare("lock_directory", lock_directory == after.lock_directory);
  compare("sessions", sessions == after.sessions);
  compare("ledger", ledger_path == after.ledger_path);
  compare("refresh_interval", refresh_interval == after.refresh_interval);
  compare("drain_limit", drain_limit == after.drain_limit);
  compare("audit", audit == after.audit);
  compare("refusals", refusals == after.refusals);
  compare("connections", connections == after.connections);
  compare("tls", tls == after.tls);
  compare("http_listen", http_host == after.http_host && http_port == after.http_port);
  compare("admin_listen", admin_host == after.admin_host && admin_port == after.admin_port);
  compare("kubernetes_signer", kubernetes.has_value() == after.kubernetes.has_value() &&
                                   (!kubernetes || (kubernetes->socket_path == after.kubernetes->socket_path &&
                                                    kubernetes->socket_group == after.kubernetes->socket_group)));
  return fields;
}

}  // namespace assertion
