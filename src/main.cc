// assertiond: reads the configuration, wires the parts, serves, drains. The only file that knows them all.

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "attached_hsms.h"
#include "audit/checkpoint.h"
#include "audit/log.h"
#include "config/config.h"
#include "config/regular_file.h"
#include "observe/assertion_tally.h"
#include "observe/http_listener.h"
#include "observe/http_pages.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "observe/readiness.h"
#include "observe/supervisor.h"
#include "policy/policy.h"
#include "reloading.h"
#include "service/server.h"
#include "service/trusted_folder.h"
#include "signals.h"
#include "signing/hsm_group.h"
#include "signing/jws_key.h"
#include "signing/signing_queue.h"
#include "x509/certificate.h"
#include "x509/openssl.h"
#include "x509/trust.h"

namespace {

using assertion::Code;
using assertion::Error;

constexpr std::chrono::seconds kHangLimit{2};
constexpr int kHangs = 24;

constexpr const char* kFooter = R"(Exit status:
  0   stopped by SIGTERM or SIGINT, all calls answered
  1   an internal error
  2   wrong command line
  3   the configuration is wrong
  10  the PKCS#11 module cannot be found or loaded
  11  no token matches the PKCS#11 URI
  12  two tokens match it
  13  the PIN file cannot be read
  14  the PIN file is open to others
  15  the token refused the PIN (one attempt; not repeated until the PIN file holds another)
  16  the user PIN is locked, or one attempt away from it
  17  the token made a key for the audit log that does not show what custody asks for
  19  the token does not show that key as one that signs
  20  the address cannot be listened on
  21  the ledger cannot be read
  22  the audit log cannot be written, is another process's, or was changed
  23  a file that TLS needs cannot be used, or the token holds no key for the certificate
  24  calls into the HSM do not return, more than there are sessions: start again
What is wrong with a client's key stops no start: that client is refused, the log and assertionctl doctor say why.

Examples:
  assertiond --check-config /etc/assertiond/assertiond.json
  assertiond --config /etc/assertiond/assertiond.json)";

int ExitStatus(Code code) {
  switch (code) {
    case Code::kConfigInvalid:
      return 3;
    case Code::kModuleUnusable:
      return 10;
    case Code::kTokenAbsent:
      return 11;
    case Code::kTokenAmbiguous:
      return 12;
    case Code::kPinUnreadable:
      return 13;
    case Code::kPinExposed:
      return 14;
    case Code::kPinRefused:
      return 15;
    case Code::kPinLocked:
      return 16;
    case Code::kKeyForbidden:
      return 17;
    case Code::kKeyAmbiguous:
      return 18;
    case Code::kKeyUnproven:
      return 19;
    case Code::kAddressUnusable:
      return 20;
    case Code::kLedgerUnusable:
      return 21;
    case Code::kAuditUnusable:
      return 22;
    case Code::kTlsUnusable:
      return 23;
    default:
      return 1;
  }
}

int Fatal(const Error& error) {
  spdlog::critical("{}", error.ToString());
  return ExitStatus(error.code);
}

// Up to what the system allows: a soft limit of 1024 is for programs that use select(2).
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// Without an orderly end, which would wait for calls that do not return.
[[noreturn]] void EndNow(int status) {
  spdlog::shutdown();
  std::_Exit(status);
}

[[noreturn]] void EndHungInHsm() {
  spdlog::warn("stopped; a call into the HSM never returned");
  EndNow(0);
}

[[noreturn]] void EndHung(const assertion::Reloading& reloading) {
  if (const auto doing = reloading.Doing(); !doing.empty()) {
    spdlog::warn("stopped; a reload never returned from {}", doing);
    EndNow(0);
  }
  EndHungInHsm();
}

void GiveUp(const assertion::Signals& signals) {
  if (signals.stopping()) {
    EndHungInHsm();
  }
  spdlog::critical("too many calls into the HSM do not return: ending, to be started again");
  EndNow(kHangs);
}

// What a start would refuse of the files that the configuration names. They may come after it.
std::vector<std::string> TroubleWithTls(const assertion::Config& config) {
  constexpr std::size_t kMostOctets = std::size_t{8} << 20U;
  std::vector<std::string> trouble;
  if (!config.tls) {
    return trouble;
  }
  const auto chain = assertion::ReadRegularFile(config.tls->certificate, kMostOctets);
  const auto leaf = chain ? assertion::x509::ParsePem(*chain) : std::unexpected(chain.error());
  if (!leaf) {
    trouble.push_back(config.tls->certificate + ": " + leaf.error().ToString());
  }
  const auto authorities = assertion::ReadRegularFile(config.tls->client_ca, kMostOctets);
  const auto trust = authorities ? assertion::x509::Trust::Load(*authorities, config.tls->crl_directory)
                                 : std::unexpected(authorities.error());
  if (!trust) {
    trouble.push_back(config.tls->client_ca + ": " + trust.error().ToString());
  }
  return trouble;
}

int CheckConfig(const std::string& path) {
  const auto config = assertion::ReadConfig(path);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "%s\n", error.c_str());
    }
    return ExitStatus(Code::kConfigInvalid);
  }
  for (const auto& warning : config->warnings) {
    std::fprintf(stderr, "%s: warning: %s\n", path.c_str(), warning.c_str());
  }
  for (const auto& trouble : TroubleWithTls(*config)) {
    std::fprintf(stderr, "%s: warning: tls: %s: a start fails with that\n", path.c_str(), trouble.c_str());
  }
  return 0;
}

// Returns when told to stop; has the configuration read whenever told to, and calls `alive` as often as the supervisor
// wants to hear.
void WaitForStop(assertion::Signals& signals, const assertion::Supervisor& supervisor, assertion::Reloading& reloading,
                 const std::function<void()>& alive) {
  using Told = assertion::Signals::Told;
  for (auto told = Told::kNothing; told != Told::kStop; told = signals.Wait(supervisor.watchdog_interval())) {
    if (told == Told::kReload) {
      reloading.Request();
    }
    if (supervisor.watchdog_interval()) {
      alive();
    }
  }
}

std::shared_ptr<const assertion::Policy> PolicyOf(const assertion::Config& config) {
  return std::make_shared<const assertion::Policy>(config.clients, config.operators, assertion::SystemTime,
                                                   assertion::x509::RandomOctets, config.two_person_rule,
                                                   config.caller_rate, config.key_limits);
}

// All HSMs, or none. One that is away will have them when it is back.
assertion::Status Reconfigure(const assertion::HsmGroup& hsms, const std::vector<assertion::Client>& before,
                              const std::vector<assertion::Client>& clients) {
  const auto all = hsms.All();
  for (auto hsm = all.begin(); hsm != all.end(); ++hsm) {
    auto& keys = (*hsm)->keys;
    if ((*hsm)->queue.IsPaused()) {
      keys.Expect(clients);
    } else if (auto reconfigured = keys.Reconfigure(clients); !reconfigured) {
      std::for_each(all.begin(), hsm, [&](const auto& done) { done->keys.Expect(before); });
      return reconfigured;
    }
  }
  return {};
}

// Clients and operators as the file has them now: all of it, or nothing. The keys first, so that a client whom the
// policy knows has them.
assertion::Status Reload(const assertion::Config& before, const std::string& path,
                         const assertion::Reloading::Read& config, const assertion::HsmGroup& hsms,
                         assertion::CurrentPolicy& policy) {
  constexpr std::size_t kMostErrors = 10;
  if (!config) {
    std::string all;
    for (const auto& error : config.error() | std::views::take(kMostErrors)) {
      all.append(all.empty() ? "" : "; ").append(error);
    }
    if (config.error().size() > kMostErrors) {
      all += "; and more: assertiond --check-config " + path;
    }
    return assertion::Fail(Code::kConfigInvalid, all);
  }
  if (const auto fields = assertion::FieldsThatNeedARestart(before, *config); !fields.empty()) {
    return assertion::Fail(Code::kConfigInvalid, path + ": " + fields.front() + ": takes a restart to change");
  }
  for (const auto& warning : config->warnings) {
    spdlog::warn("{}", warning);
  }
  auto reconfigured = Reconfigure(hsms, hsms.First()->keys.clients(), config->clients);
  if (reconfigured) {
    policy.store(PolicyOf(*config));
  }
  return reconfigured;
}

// One line a change of state, not one a look.
class TlsLog {
 public:
  void Note(const assertion::Status& refreshed) {
    const std::lock_guard lock(mutex_);
    if (!refreshed && !std::exchange(failing_, true)) {
      spdlog::error("TLS goes on with what it had: {}", refreshed.error().ToString());
    } else if (refreshed && std::exchange(failing_, false)) {
      spdlog::info("TLS has what its files say again");
    }
  }

 private:
  std::mutex mutex_;
  bool failing_ = false;
};

// Which HSMs sign. The process is ready as long as one does.
class HsmStates {
 public:
  HsmStates(assertion::Readiness& readiness, const assertion::HsmGroup& hsms) : readiness_(readiness), hsms_(hsms) {}

  void Note(const std::string& name, const assertion::Status& state) {
    const std::lock_guard lock(mutex_);
    const auto hsms = hsms_.All();
    const auto which = hsms.size() > 1 ? " '" + name + "'" : "";
    if (state) {
      lost_.erase(name);
      spdlog::info("the token{} signs again", which);
    } else {
      const bool news = lost_.insert(name).second;
      spdlog::error("the token{} {}does not sign: {}", which, news ? "" : "still ", state.error().ToString());
    }
    if (std::ranges::all_of(hsms, [this](const auto& hsm) { return lost_.contains(hsm->name); })) {
      readiness_.SetNotReady("token", state ? "" : state.error().message);
    } else {
      readiness_.SetReady("token");
    }
  }

 private:
  assertion::Readiness& readiness_;
  const assertion::HsmGroup& hsms_;
  std::mutex mutex_;
  std::set<std::string> lost_;
};

// Which clients' ledgers are older than what was seen, for /readyz. The other clients are served.
class LedgerStates {
 public:
  LedgerStates(assertion::Readiness& readiness, const assertion::HsmGroup& hsms) : readiness_(readiness), hsms_(hsms) {}

  void Look() {
    constexpr int kMostNamed = 5;
    std::string state;
    int named = 0;
    for (const auto& hsm : hsms_.All()) {
      const auto rolled_back = hsm->keys.RolledBack();
      for (const auto& [client_id, older] : *rolled_back) {
        if (++named <= kMostNamed) {
          state += (state.empty() ? "" : "; ") + assertion::TooOld(client_id, older.found, older.seen).message;
        }
      }
    }
    if (named > kMostNamed) {
      state += "; and " + std::to_string(named - kMostNamed) + " more, see the log";
    }
    const std::lock_guard lock(mutex_);
    if (std::exchange(state_, state) == state) {
      return;
    }
    if (state.empty()) {
      readiness_.SetReady("ledgers");
    } else {
      readiness_.SetWarning("ledgers", state);
    }
  }

 private:
  assertion::Readiness& readiness_;
  const assertion::HsmGroup& hsms_;
  std::mutex mutex_;
  std::string state_;
};

// A host as it stands before a port (RFC 3986 section 3.2.2).
std::string InBrackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// Null when none is wanted.
assertion::Result<std::unique_ptr<assertion::audit::Log>> OpenAuditLog(const assertion::AuditConfig& config,
                                                                       const std::optional<assertion::JwsKey>& key,
                                                                       assertion::SigningQueue& queue,
                                                                       assertion::Readiness& readiness) {
  if (!key) {
    return nullptr;
  }
  ASSIGN_OR_RETURN(const auto keys, assertion::audit::ToPublicKeys(key->public_key()));
  return assertion::audit::Log::Open({.path = config.path,
                                      .rotate_octets = config.rotate_octets,
                                      .checkpoint_lines = config.checkpoint_lines,
                                      .checkpoint_interval = config.checkpoint_interval,
                                      .reserve = config.reserve},
                                     {.sign = key->SignThrough(queue), .jwk = key->Jwk()}, keys,
                                     [&readiness](const assertion::Status& state) {
                                       if (state) {
                                         spdlog::info("the audit log can be written again");
                                         readiness.SetReady("audit");
                                       } else {
                                         spdlog::error("nothing is released: {}", state.error().ToString());
                                         readiness.SetNotReady("audit", state.error().message);
                                       }
                                     });
}

void NoteCrls(assertion::Readiness& readiness, const assertion::Status& readable, bool closed) {
  if (readable) {
    spdlog::info("all CRLs can be read again");
    readiness.SetReady(assertion::kCrls);
  } else if (closed) {
    spdlog::error("nobody with a certificate is served: for tls.crl_grace not all CRLs could be read: {}",
                  readable.error().ToString());
    readiness.SetNotReady(assertion::kCrls,
                          "nobody with a certificate is served: not all CRLs can be read; see the log");
  } else {
    spdlog::error("revocation goes on by the CRLs that were read before: {}", readable.error().ToString());
    readiness.SetWarning(assertion::kCrls, "not all CRLs can be read; see the log");
  }
}

assertion::service::Addresses AddressesOf(const assertion::Config& config, assertion::Readiness& readiness) {
  assertion::service::Addresses addresses{.socket_path = config.socket_path,
                                          .socket_group = config.socket_group,
                                          .tls = {},
                                          .connections = {.per_peer = config.connections.per_peer,
                                                          .total = config.connections.total,
                                                          .handshakes = config.connections.handshakes},
                                          .refusals = config.refusals};
  if (config.tls) {
    const auto& tls = *config.tls;
    addresses.tls = {.address = InBrackets(tls.host) + ":" + std::to_string(tls.port),
                     .hsm = tls.hsm,
                     .certificate = tls.certificate,
                     .client_ca = tls.client_ca,
                     .crl_directory = tls.crl_directory,
                     .crl_grace = tls.crl_grace,
                     .folder = config.state_directory + "/tls",
                     .crls_noted = [&readiness](const assertion::Status& readable, bool closed) {
                       NoteCrls(readiness, readable, closed);
                     }};
  }
  return addresses;
}

// What the process itself does.
void Record(assertion::audit::Log* log, const char* name, const assertion::Status& outcome) {
  if (log != nullptr) {
    assertion::audit::Event event;
    event.name = name;
    event.outcome = outcome ? "OK" : "FAILED";
    event.reason = outcome ? "" : outcome.error().message;
    log->Record(event, [](const assertion::Status&) {});
  }
}

// What everybody may know, and what probes and monitoring ask; null where none is configured.
struct HttpListeners {
  std::unique_ptr<assertion::HttpListener> published;
  std::unique_ptr<assertion::HttpListener> admin;
};

assertion::Result<HttpListeners> StartHttp(const assertion::Config& config, const assertion::HsmGroup& hsms,
                                           const assertion::Readiness& readiness, const assertion::Metrics& metrics,
                                           const assertion::service::Server& server) {
  using assertion::HttpListener;
  using assertion::HttpPages;
  constexpr std::size_t kAdminSpares = 4;
  const auto collect = [&metrics] { return metrics.Collect(); };
  HttpListeners listeners;
  if (!config.admin_host.empty()) {
    ASSIGN_OR_RETURN(auto admin, HttpListener::Start({.field = "admin_listen",
                                                      .host = config.admin_host,
                                                      .port = config.admin_port,
                                                      .limits = HttpListener::AdminLimits(),
                                                      .spares = kAdminSpares},
                                                     HttpPages(HttpPages::Part::kProbes, hsms, readiness, collect)));
    spdlog::info("probes and metrics on http://{}:{}", InBrackets(config.admin_host), admin->port());
    listeners.admin = std::move(admin);
  }
  if (!config.http_host.empty()) {
    HttpListener::Options options{.field = "http_listen",
                                  .host = config.http_host,
                                  .port = config.http_port,
                                  .limits = HttpListener::PublicLimits()};
    if (config.tls) {
      options.tls = [&server] { return server.tls_context(); };
    }
    const auto part = listeners.admin ? HttpPages::Part::kPublications : HttpPages::Part::kAll;
    ASSIGN_OR_RETURN(auto published,
                     HttpListener::Start(std::move(options), HttpPages(part, hsms, readiness, collect)));
    spdlog::info("publishing on {}://{}:{}", config.tls ? "https" : "http", InBrackets(config.http_host),
                 published->port());
    listeners.published = std::move(published);
  }
  return listeners;
}

// Who can write there can take away what is remembered of PINs, keys and signatures. Allowed: a volume of Kubernetes is
// its group's.
void WarnOfOpenFolders(const assertion::Config& config) {
  const auto warn = [](const char* field, const std::string& folder) {
    if (const auto trusted = assertion::service::CheckTrustedFolder(folder); !trusted) {
      spdlog::warn("{}: {}", field, trusted.error().message);
    }
  };
  warn("state_directory", config.state_directory);
  if (const auto folder = config.audit.path.substr(0, config.audit.path.rfind('/'));
      config.audit.enabled && folder != config.state_directory) {
    warn("audit.path", folder);
  }
  if (!config.ledger_path.empty()) {
    warn("ledger", config.ledger_path.substr(0, config.ledger_path.rfind('/')));
  }
}

// Parts are destroyed in the reverse of this order: calls, then of each HSM jobs, keys and login, then modules.
int Serve(const assertion::Config& config, const std::string& path, bool wait_for_token, assertion::Signals& signals,
          const assertion::Supervisor& supervisor, assertion::Reloading& reloading) {
  for (const auto& warning : config.warnings) {
    spdlog::warn("{}", warning);
  }
  WarnOfOpenFolders(config);
  assertion::AttachedHsms hsms(config, supervisor);
  if (const auto attached = hsms.Attach(wait_for_token, signals); !attached) {
    if (attached.error().code == Code::kCancelled) {
      spdlog::info("{}", attached.error().message);
      return 0;
    }
    return Fatal(attached.error());
  }
  const auto& group = hsms.group();
  assertion::CurrentPolicy policy(PolicyOf(config));
  assertion::Readiness readiness;
  assertion::AssertionTally tally;
  const auto audit_hsm = group.Named(config.audit.enabled ? config.audit.hsm : "");
  if (!audit_hsm) {
    return Fatal(audit_hsm.error());
  }
  std::optional<assertion::JwsKey> audit_key;
  if (config.audit.enabled) {
    auto key = assertion::JwsKey::FindOrGenerate((*audit_hsm)->token, assertion::kAuditKeyLabel,
                                                 assertion::audit::kCheckpointType, assertion::x509::RandomOctets);
    if (!key) {
      return Fatal(key.error());
    }
    audit_key = std::move(*key);
  }
  auto audit = OpenAuditLog(config.audit, audit_key, (*audit_hsm)->queue, readiness);
  if (!audit) {
    return Fatal(audit.error());
  }
  Record(audit->get(), "Start", {});
  if (*audit) {
    hsms.Remember(**audit);
  }
  assertion::Metrics metrics(group, config.hsms.size(), readiness, tally, audit->get());
  const auto server = assertion::service::Server::Start(AddressesOf(config, readiness), policy, group, audit->get(),
                                                        &tally, {.refresh_interval = config.refresh_interval});
  if (!server) {
    return Fatal(server.error());
  }
  readiness.Watch([&server, &supervisor](bool ready) {
    (*server)->SetServing(ready);
    supervisor.Tell(ready ? "STATUS=serving" : "STATUS=not ready: see the log");
  });
  const auto http = StartHttp(config, group, readiness, metrics, **server);
  if (!http) {
    return Fatal(http.error());
  }
  TlsLog tls_log;
  HsmStates states(readiness, group);
  LedgerStates ledgers(readiness, group);
  hsms.Watch([&](std::size_t rank, const std::string& name) -> assertion::AttachedHsm::Watchers {
    const auto refresh_tls = [&, rank] {
      if (config.tls && config.RankOf(config.tls->hsm) == rank) {  // it holds the TLS key
        tls_log.Note((*server)->RefreshTls());
      }
    };
    return {.changed =
                [&, refresh_tls, name](const assertion::Status& state) {
                  if (state) {
                    refresh_tls();
                  }
                  states.Note(name, state);
                },
            .refreshed =
                [&, refresh_tls](const assertion::Status& /*refreshed*/) {
                  refresh_tls();
                  ledgers.Look();
                },
            .may_reload = {},
            .hung = [&] { GiveUp(signals); }};
  });
  ledgers.Look();
  if (config.tls) {
    spdlog::info("serving on {}:{} with TLS", InBrackets(config.tls->host), (*server)->tls_port());
  }
  spdlog::info("serving on unix:{}", config.socket_path);
  signals.SetLimit(config.drain_limit + kHangLimit);
  supervisor.Tell("READY=1");
  const auto read = [path] { return assertion::ReadConfig(path); };
  reloading.Start(path, read, [&](const assertion::Reloading::Read& now) {
    supervisor.TellReloading();
    reloading.Note("asking the HSMs for the clients' keys");
    const auto reloaded = Reload(config, path, now, group, policy);
    (*server)->EndConnectionsOfRemoved();
    Record(audit->get(), "Reload", reloaded);
    reloading.Note("reading the files of TLS");
    if (const auto refreshed = (*server)->RefreshTls(); !refreshed) {
      spdlog::error("SIGHUP: TLS goes on with what it had: {}", refreshed.error().ToString());
    }
    reloading.Note("opening the audit log again");
    if (*audit) {
      (*audit)->Reopen();
    }
    if (reloaded) {
      spdlog::info("SIGHUP: clients and operators are as the configuration says now");
    } else {
      spdlog::error("SIGHUP: the configuration of before stays in force: {}", reloaded.error().ToString());
    }
    supervisor.Tell("READY=1");
  });
  WaitForStop(signals, supervisor, reloading, [&] {
    for (const auto& hsm : group.All()) {
      hsm->queue.Waiting();  // takes its lock: a queue that is stuck keeps the watchdog waiting
    }
    supervisor.Tell("WATCHDOG=1");
  });
  supervisor.Tell("STOPPING=1");
  readiness.SetNotReady("process", "stopping");
  readiness.Watch({});
  (*server)->Stop(config.drain_limit);
  if (!reloading.Close(kHangLimit)) {
    EndHung(reloading);
  }
  Record(audit->get(), "Stop", {});
  metrics.ForgetLog();
  hsms.ForgetLog();
  audit->reset();
  for (const auto& hsm : group.All()) {
    if (!hsm->queue.Drain(kHangLimit)) {
      EndHungInHsm();
    }
  }
  signals.SetLimit(kHangLimit);  // for what is left: to end what calls the HSMs by itself
  hsms.Rest();
  spdlog::info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("assertiond signs OAuth 2.0 client assertions (RFC 7523) with keys that never leave an HSM.");
  app.set_version_flag("--version", "assertiond " ASSERTION_VERSION);
  app.footer(kFooter);
  std::string serve;
  std::string check;
  auto* config_option = app.add_option("--config", serve, "Serve as this configuration file says")->type_name("FILE");
  app.add_option("--check-config", check,
                 "Read the file (at most 8 MiB), print every error with its line and what was probably meant, and exit")
      ->type_name("FILE")
      ->excludes(config_option);
  bool wait_for_token = false;
  app.add_flag("--wait-for-token", wait_for_token,
               "Wait for a token that is not there, instead of ending with exit status 11")
      ->needs(config_option);
  auto log_format = assertion::DefaultLogFormat();
  app.add_option("--log-format", log_format, "text or json; default: text on a terminal, else json, one object a line")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, assertion::LogFormat>{{"text", assertion::LogFormat::kText},
                                                                              {"json", assertion::LogFormat::kJson}},
                                  CLI::ignore_case))
      ->type_name("FORMAT");
  try {
    app.parse(argc, argv);
    if (serve.empty() && check.empty()) {
      throw CLI::RequiredError("--config FILE or --check-config FILE");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!check.empty()) {
    return CheckConfig(check);
  }

  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit of the file size is an error of write
  // They would override which module OpenSSL's provider loads, and which suites gRPC speaks.
  for (const char* name :
       {"PKCS11_PROVIDER_MODULE", "PKCS11_PROVIDER_DEBUG", "PKCS11_MODULE_PATH", "GRPC_SSL_CIPHER_SUITES"}) {
    unsetenv(name);
  }
  // Its threads wake each other for each call: where the token is a program on the same processors, that had better not
  // interrupt the ones that sign. Refused, by a sandbox say, it is only slower.
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);
  RaiseDescriptorLimit();
  const auto supervisor = assertion::Supervisor::FromEnvironment();
  assertion::StartLog(log_format);
  const auto config = assertion::ReadConfig(serve);
  if (!config) {
    for (const auto& error : config.error()) {
      spdlog::critical("{}", error);
    }
    return ExitStatus(Code::kConfigInvalid);
  }
  assertion::Reloading reloading;
  assertion::Signals signals(kHangLimit, [&] { EndHung(reloading); });  // the first thread, and the last
  const int status = Serve(*config, serve, wait_for_token, signals, supervisor, reloading);
  reloading.End();  // within the limit
  return status;
}
