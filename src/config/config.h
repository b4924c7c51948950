#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/caller.h"
#include "assertion/clients.h"
#include "assertion/hsm_settings.h"
#include "assertion/key_limits.h"
#include "assertion/kubernetes_signer.h"
#include "assertion/rate.h"
#include "assertion/two_person_rule.h"

namespace assertion {

// The audit log.
struct AuditConfig {
  bool enabled = true;
  std::string hsm;                                         // holds the key that signs checkpoints; empty: the first
  std::string path;                                        // default: audit.log in the state directory
  std::uint64_t rotate_octets = std::uint64_t{64} << 20U;  // 4 KiB to 4 GiB
  std::uint64_t checkpoint_lines = 1000;                   // 1 to 1000000
  std::chrono::seconds checkpoint_interval{10};            // 1 s to 1 h
  std::uint64_t reserve = std::uint64_t{16} << 20U;        // octets of disk space, 0 to 1 TiB

  friend bool operator==(const AuditConfig&, const AuditConfig&) = default;
};

// The limits of connections over the socket; over TLS the same limits apply once more.
struct ConnectionsConfig {
  std::size_t per_peer = 64;  // 1 to 65536
  std::size_t total = 1024;   // 1 to 65536
  // Unfinished TLS handshakes at once, 1 to 65536; one source may have an eighth of them.
  std::size_t handshakes = 128;

  friend bool operator==(const ConnectionsConfig&, const ConnectionsConfig&) = default;
};

// gRPC over TCP with mutual TLS.
struct TlsConfig {
  std::string host;
  int port = 0;                          // 0: one that the system chooses
  std::string hsm;                       // holds the server's key; empty: the first
  std::string certificate;               // a file: the server's chain
  std::string client_ca;                 // a file: the authorities that issue to callers
  std::string crl_directory;             // empty: revocation is not checked
  std::chrono::seconds crl_grace{3600};  // 0 s to 7 days: how long CRLs stay in force when not all can be read again

  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

// Where kube-apiserver is served. A reload takes over `signer`.
struct KubernetesConfig {
  std::string socket_path;  // as Config::socket_path
  std::optional<gid_t> socket_group;
  KubernetesSigner signer;
};

// assertiond's configuration file: one strict JSON object. field_rows.cc describes every field.
struct Config {
  std::vector<HsmSettings> hsms;  // 1 to 8, in the order in which they are asked to sign
  std::string socket_path;        // of `listen`: "unix:" and an absolute path of at most 107 octets
  std::optional<gid_t> socket_group;
  std::string token_socket_path;  // of `token_listen`, as socket_path; empty: no HTTP front
  std::optional<gid_t> token_socket_group;
  std::string state_directory;
  std::string lock_directory;                // default: lock in the state directory
  std::optional<std::size_t> sessions;       // 1 to 256; unset: measured
  std::string ledger_path;                   // empty: the ledger is on the token
  std::chrono::seconds refresh_interval{5};  // 1 s to 1 h
  std::chrono::seconds drain_limit{30};      // 1 s to 10 min
  std::string http_host;                     // empty: no HTTP listener
  int http_port = 0;                         // 0: one that the system chooses
  std::string admin_host;                    // empty: probes and metrics are on the HTTP listener
  int admin_port = 0;                        // 0: one that the system chooses
  AuditConfig audit;
  std::optional<TlsConfig> tls;
  Rate refusals{.per_second = 10, .burst = 100};
  ConnectionsConfig connections;

  // A reload takes these over.
  std::vector<Operator> operators;
  TwoPersonRule two_person_rule;
  KeyLimits key_limits;
  std::optional<Rate> caller_rate;             // unset: none
  Clients clients;                             // the last is that of `kubernetes`, if there is one
  std::optional<KubernetesConfig> kubernetes;  // unset: no kube-apiserver is served
  std::vector<std::string> warnings;           // allowed, but probably a mistake

  std::string sha256;  // of the file's text, hexadecimal; empty: of no file

  // The index in `hsms` of the URI with this token attribute, as audit.hsm and tls.hsm name it; empty: the first.
  std::size_t RankOf(std::string_view hsm) const;

  // The ledger file of the HSM with that rank: ledger_path for the first, ledger_path.SERIAL for another.
  std::string LedgerPath(std::size_t rank, const std::string& serial) const;

  // The file for pending changes that this HSM does not store, beside the ledger's; empty: the ledger is on the token.
  std::string PendingPath(std::size_t rank, const std::string& serial) const {
    return ledger_path.empty() ? "" : LedgerPath(rank, serial) + ".pending";
  }
};

// The fields that differ and take effect only at a start.
std::vector<std::string> FieldsThatNeedARestart(const Config& before, const Config& after);

// Reports all errors at once, each "LINE: path.of.field: reason". `default_state_directory` is used when the text names
// none.
std::expected<Config, std::vector<std::string>> ParseConfig(std::string_view text,
                                                            const std::string& default_state_directory);

// Reads the file and prefixes each error with its name. The default state directory is the first in $STATE_DIRECTORY
// (systemd), else the file's folder.
std::expected<Config, std::vector<std::string>> ReadConfig(const std::string& path);

}  // namespace assertion
