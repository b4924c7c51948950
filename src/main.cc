// assertiond: reads the configuration, wires the parts, serves, drains. The only file that knows them all.

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "assertion/clock.h"
#include "audit/checkpoint.h"
#include "audit/log.h"
#include "config/config.h"
#include "keys/file_ledger.h"
#include "keys/key_custodian.h"
#include "keys/key_ring.h"
#include "keys/token_ledger.h"
#include "observe/http_listener.h"
#include "observe/key_log.h"
#include "observe/log.h"
#include "observe/readiness.h"
#include "p11/hsm_token.h"
#include "p11/module.h"
#include "policy/policy.h"
#include "service/server.h"
#include "signing/recovery.h"
#include "signing/signing_queue.h"
#include "x509/certifier.h"
#include "x509/openssl.h"

namespace {

using assertion::Code;
using assertion::Error;

constexpr std::size_t kQueueCapacity = 4096;
constexpr std::chrono::seconds kDrainLimit{30};
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
  17  a key is exportable or otherwise unfit to sign
  18  two keys match one client
  19  a key failed its proof: sign, then verify
  20  the address cannot be listened on
  21  the ledger cannot be read, or names a key that the token does not hold
  22  the audit log cannot be written, is another process's, or was changed
  23  a file that TLS needs cannot be used, or the token holds no key for the certificate
  24  calls into the HSM do not return, more than there are sessions: start again

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

// Without an orderly end, which would wait for calls that do not return.
[[noreturn]] void EndNow(int status) {
  spdlog::shutdown();
  std::_Exit(status);
}

void GiveUp() {
  spdlog::critical("too many calls into the HSM do not return: ending, to be started again");
  EndNow(kHangs);
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
  return 0;
}

// Returns on SIGTERM or SIGINT; calls `reload` at each SIGHUP.
void WaitForStop(const sigset_t& signals, const std::function<void()>& reload) {
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) {
    reload();
  }
  spdlog::info("{}: finishing the calls in flight", signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

std::shared_ptr<const assertion::Policy> PolicyOf(const assertion::Config& config) {
  return std::make_shared<const assertion::Policy>(config.clients, config.operators, assertion::SystemTime,
                                                   assertion::x509::RandomOctets, config.two_person_rule,
                                                   config.caller_rate);
}

// Clients and operators as the file has them now: all of it, or nothing. The keys first, so that a client whom the
// policy knows has them.
assertion::Status Reload(const assertion::Config& before, const std::string& path, assertion::KeyRing& keys,
                         assertion::CurrentPolicy& policy) {
  const auto config = assertion::ReadConfig(path);
  if (!config) {
    std::string all;
    for (const auto& error : config.error()) {
      all.append(all.empty() ? "" : "; ").append(error);
    }
    return assertion::Fail(Code::kConfigInvalid, all);
  }
  if (const auto fields = assertion::FieldsThatNeedARestart(before, *config); !fields.empty()) {
    return assertion::Fail(Code::kConfigInvalid, path + ": " + fields.front() + ": takes a restart to change");
  }
  for (const auto& warning : config->warnings) {
    spdlog::warn("{}", warning);
  }
  auto reconfigured = keys.Reconfigure(config->clients);
  if (reconfigured) {
    policy.store(PolicyOf(*config));
  }
  return reconfigured;
}

// Names this process among all that use the token, the same after a restart: no two listen on one socket.
std::string HolderOf(const assertion::Config& config) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + ":" + config.socket_path;
}

assertion::Result<std::unique_ptr<assertion::Ledger>> OpenLedger(const assertion::Config& config,
                                                                 assertion::Token& token) {
  if (!config.ledger_path.empty()) {
    return std::make_unique<assertion::FileLedger>(config.ledger_path);
  }
  return assertion::TokenLedger::Open(token, HolderOf(config), assertion::SystemTime, assertion::x509::RandomOctets);
}

// One line a change of state, not one a refresh.
void LogTls(const assertion::Status& refreshed, bool& failing) {
  if (!refreshed && !failing) {
    spdlog::error("TLS goes on with what it had: {}", refreshed.error().ToString());
  } else if (refreshed && failing) {
    spdlog::info("TLS has what its files say again");
  }
  failing = !refreshed;
}

std::function<void(const assertion::Status&)> LogRefresh(const assertion::KeyRing& keys, assertion::KeyLog& key_log,
                                                         assertion::service::Server& server) {
  return [failing = false, tls_failing = false, &keys, &key_log, &server](const assertion::Status& refreshed) mutable {
    LogTls(server.RefreshTls(), tls_failing);
    if (!refreshed && !failing) {
      spdlog::error("the keys could not be refreshed, those known stay in use: {}", refreshed.error().ToString());
    } else if (refreshed && failing) {
      spdlog::info("the keys are fresh again");
    }
    failing = !refreshed;
    key_log.Look(keys);
  };
}

std::function<void(const assertion::Status&)> LogRecovery(assertion::Readiness& readiness,
                                                          assertion::service::Server& server) {
  return [&readiness, &server](const assertion::Status& state) {
    if (!state) {
      spdlog::error("the token does not sign: {}", state.error().ToString());
      readiness.SetNotReady("token", state.error().message);
      return;
    }
    if (const auto refreshed = server.RefreshTls(); !refreshed) {
      spdlog::error("TLS goes on with what it had: {}", refreshed.error().ToString());
    }
    spdlog::info("the token signs again");
    readiness.SetReady("token");
  };
}

// The token, logged in to. With `wait`, as soon as it is there; CANCELLED when the process is told to stop before.
assertion::Result<std::unique_ptr<assertion::p11::HsmToken>> LogIn(
    const std::shared_ptr<assertion::p11::Module>& module, const assertion::Config& config, bool wait,
    const sigset_t& signals) {
  constexpr std::chrono::milliseconds kLongest{5000};
  bool told = false;
  for (std::chrono::milliseconds delay{100};; delay = std::min(2 * delay, kLongest)) {
    const auto info = module->FindToken(config.hsm);
    auto token = info ? assertion::p11::HsmToken::LogIn(module, *info, config.hsm.pin_path(), config.state_directory)
                      : std::unexpected(info.error());
    if (token) {
      spdlog::info("token '{}' of {}, model {}, serial {}", info->label, info->manufacturer, info->model, info->serial);
      return token;
    }
    const auto code = token.error().code;
    if (!wait || (code != Code::kTokenAbsent && code != Code::kUnavailable)) {
      return token;
    }
    if (!std::exchange(told, true)) {
      spdlog::warn("waiting for the token: {}", token.error().ToString());
    }
    const timespec limit{.tv_sec = delay.count() / 1000, .tv_nsec = delay.count() % 1000 * 1'000'000};
    if (const int signal = sigtimedwait(&signals, nullptr, &limit); signal == SIGTERM || signal == SIGINT) {
      return assertion::Fail(Code::kCancelled, "stopped while it waited for the token");
    }
  }
}

// A host as it stands before a port (RFC 3986 section 3.2.2).
std::string InBrackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// Null when none is wanted.
assertion::Result<std::unique_ptr<assertion::audit::Log>> OpenAuditLog(const assertion::AuditConfig& config,
                                                                       const std::optional<assertion::audit::Key>& key,
                                                                       assertion::SigningQueue& queue,
                                                                       assertion::Readiness& readiness) {
  if (!key) {
    return nullptr;
  }
  const auto keys = assertion::audit::ToPublicKeys(key->public_key());
  if (!keys) {
    return std::unexpected(keys.error());
  }
  return assertion::audit::Log::Open({.path = config.path,
                                      .rotate_octets = config.rotate_octets,
                                      .checkpoint_lines = config.checkpoint_lines,
                                      .checkpoint_interval = config.checkpoint_interval},
                                     key->ToSigner(queue), *keys, [&readiness](const assertion::Status& state) {
                                       if (state) {
                                         spdlog::info("the audit log can be written again");
                                         readiness.SetReady("audit");
                                       } else {
                                         spdlog::error("nothing is released: {}", state.error().ToString());
                                         readiness.SetNotReady("audit", state.error().message);
                                       }
                                     });
}

assertion::service::Addresses AddressesOf(const assertion::Config& config) {
  assertion::service::Addresses addresses{
      .socket_path = config.socket_path, .socket_group = config.socket_group, .tls = {}};
  if (config.tls) {
    const auto& tls = *config.tls;
    addresses.tls = {.address = InBrackets(tls.host) + ":" + std::to_string(tls.port),
                     .certificate = tls.certificate,
                     .client_ca = tls.client_ca,
                     .crl_directory = tls.crl_directory,
                     .folder = config.state_directory + "/tls"};
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

// Null when none is configured.
assertion::Result<std::unique_ptr<assertion::HttpListener>> StartHttp(const assertion::Config& config,
                                                                      const assertion::KeyRing& keys,
                                                                      const assertion::Readiness& readiness,
                                                                      const assertion::service::Server& server) {
  if (config.http_host.empty()) {
    return nullptr;
  }
  std::function<assertion::x509::ServerContext()> tls;
  if (config.tls) {
    tls = [&server] { return server.tls_context(); };
  }
  auto listener = assertion::HttpListener::Start(config.http_host, config.http_port, keys, readiness, std::move(tls));
  if (listener) {
    spdlog::info("publishing on {}://{}:{}", config.tls ? "https" : "http", InBrackets(config.http_host),
                 (*listener)->port());
  }
  return listener;
}

// Parts are destroyed in the reverse of this order: calls, jobs, keys, provider, login, module (C_Finalize) last.
int Serve(const assertion::Config& config, const std::string& path, bool wait_for_token, const sigset_t& signals) {
  for (const auto& warning : config.warnings) {
    spdlog::warn("{}", warning);
  }
  auto module = assertion::p11::Module::Load(config.hsm.module_path());
  if (!module) {
    return Fatal(module.error());
  }
  // For libp11's engine, by which gRPC finds the TLS key. No other thread runs yet.
  setenv("PKCS11_MODULE_PATH", config.hsm.module_path().c_str(), 1);
  const auto token = LogIn(*module, config, wait_for_token, signals);
  if (!token && token.error().code == Code::kCancelled) {
    spdlog::info("{}", token.error().message);
    return 0;
  }
  if (!token) {
    return Fatal(token.error());
  }
  const auto certifier = assertion::x509::Certifier::New(config.hsm.module_path());
  if (!certifier) {
    return Fatal(certifier.error());
  }
  const auto ledger = OpenLedger(config, **token);
  if (!ledger) {
    return Fatal(ledger.error());
  }
  assertion::KeyLog key_log;
  const auto keys =
      assertion::KeyRing::Load(**token, **ledger, config.clients, assertion::SystemTime, assertion::x509::RandomOctets);
  if (!keys) {
    return Fatal(keys.error());
  }
  key_log.Look(**keys);
  assertion::KeyCustodian custodian(**token, **ledger, **certifier, **keys, assertion::x509::RandomOctets);
  assertion::CurrentPolicy policy(PolicyOf(config));
  assertion::Readiness readiness;
  std::optional<assertion::audit::Key> audit_key;
  if (config.audit.enabled) {
    auto key = assertion::audit::Key::FindOrGenerate(**token, assertion::x509::RandomOctets);
    if (!key) {
      return Fatal(key.error());
    }
    audit_key = std::move(*key);
  }
  assertion::SigningQueue queue(**token, {.sessions = config.sessions, .capacity = kQueueCapacity});
  queue.OnHang(GiveUp);
  auto audit = OpenAuditLog(config.audit, audit_key, queue, readiness);
  if (!audit) {
    return Fatal(audit.error());
  }
  Record(audit->get(), "Start", {});
  const auto server =
      assertion::service::Server::Start(AddressesOf(config), policy, **keys, custodian, **token, queue, audit->get());
  if (!server) {
    return Fatal(server.error());
  }
  readiness.Watch([&server](bool ready) { (*server)->SetServing(ready); });
  const assertion::Recovery recovery(**token, **keys, queue, LogRecovery(readiness, **server), GiveUp);
  const auto http = StartHttp(config, **keys, readiness, **server);
  if (!http) {
    return Fatal(http.error());
  }
  (*keys)->KeepFresh(config.refresh_interval, LogRefresh(**keys, key_log, **server));
  if (config.tls) {
    spdlog::info("serving on {}:{} with TLS", InBrackets(config.tls->host), (*server)->tls_port());
  }
  spdlog::info("serving on unix:{} with {} sessions", config.socket_path, config.sessions);
  WaitForStop(signals, [&] {
    const auto reloaded = Reload(config, path, **keys, policy);
    Record(audit->get(), "Reload", reloaded);
    if (const auto refreshed = (*server)->RefreshTls(); !refreshed) {
      spdlog::error("SIGHUP: TLS goes on with what it had: {}", refreshed.error().ToString());
    }
    if (*audit) {
      (*audit)->Reopen();
    }
    if (reloaded) {
      spdlog::info("SIGHUP: clients and operators are as the configuration says now");
    } else {
      spdlog::error("SIGHUP: the configuration of before stays in force: {}", reloaded.error().ToString());
    }
  });
  readiness.SetNotReady("process", "stopping");
  readiness.Watch({});
  (*server)->Stop(kDrainLimit);
  Record(audit->get(), "Stop", {});
  audit->reset();
  if (!queue.Drain(kHangLimit)) {
    spdlog::warn("stopped; a call into the HSM never returned");
    EndNow(0);
  }
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
  app.add_option("--check-config", check, "Read the file, print every error with its line, and exit")
      ->type_name("FILE")
      ->excludes(config_option);
  bool wait_for_token = false;
  app.add_flag("--wait-for-token", wait_for_token,
               "Wait for a token that is not there, instead of ending with exit status 11")
      ->needs(config_option);
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

  // Threads inherit the mask: only WaitForStop sees these.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit of the file size is an error of write
  // They would override which module OpenSSL's provider and engine load, and which suites gRPC speaks.
  for (const char* name :
       {"PKCS11_PROVIDER_MODULE", "PKCS11_PROVIDER_DEBUG", "PKCS11_MODULE_PATH", "GRPC_SSL_CIPHER_SUITES"}) {
    unsetenv(name);
  }
  assertion::StartLog();
  const auto config = assertion::ReadConfig(serve);
  if (!config) {
    for (const auto& error : config.error()) {
      spdlog::critical("{}", error);
    }
    return ExitStatus(Code::kConfigInvalid);
  }
  return Serve(*config, serve, wait_for_token, signals);
}
