#include "daemon/daemon.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <ranges>
#include <utility>
#include <vector>

#include "assertion/clients.h"
#include "assertion/clock.h"
#include "audit/checkpoint.h"
#include "config/difference.h"
#include "daemon/config_check.h"
#include "daemon/exit_status.h"
#include "daemon/key_to_make.h"
#include "keys/trusted_folder.h"
#include "observe/log.h"
#include "signing/jws_key.h"
#include "x509/openssl.h"
#include "x509/regular_file.h"

namespace assertion {
namespace {

// Skips the orderly end, which would wait for calls that do not return.
[[noreturn]] void EndNow(int status) {
  spdlog::shutdown();
  std::_Exit(status);
}

[[noreturn]] void EndHungInHsm() {
  spdlog::warn("stopped; a call into the HSM, or to an identity server, never returned");
  EndNow(0);
}

std::shared_ptr<const Policy> PolicyOf(const Config& config) {
  return std::make_shared<const Policy>(config.clients, config.operators, SystemTime, x509::RandomOctets,
                                        config.two_person_rule, config.caller_rate, config.key_limits,
                                        config.kubernetes ? std::optional(config.kubernetes->signer) : std::nullopt);
}

// Gives the clients to all HSMs, or to none. An HSM that is away takes them when it is back.
Status Reconfigure(const HsmGroup& hsms, const Clients& before, const Clients& clients) {
  const auto all = hsms.All();
  for (auto hsm = all.begin(); hsm != all.end(); ++hsm) {
    auto& keys = (*hsm)->keys;
    if ((*hsm)->queue.IsPaused()) {
      keys.ReconfigureAtNextRefresh(clients);
    } else if (auto reconfigured = keys.Reconfigure(clients); !reconfigured) {
      std::for_each(all.begin(), hsm, [&](const auto& done) { done->keys.ReconfigureAtNextRefresh(before); });
      return reconfigured;
    }
  }
  return {};
}

// One line for each change of state, not for each try. A caller may bring about changes by asking for a scope that the
// identity server does not grant.
void LogTokenState(const std::string& client_id, const Status& state) {
  static SparingLog log;
  if (state) {
    log.Write(spdlog::level::info, "access tokens of client '" + client_id + "' can be bought again");
  } else {
    log.Write(spdlog::level::warn,
              "access tokens of client '" + client_id + "' cannot be bought: " + state.error().ToString());
  }
}

// True if a token that was bought for `before` may be handed out for `now`.
bool HaveSameTokens(const Result<const Client*>& before, const Result<const Client*>& now) {
  if (!before || !now || !(*before)->tokens || !(*now)->tokens) {
    return false;
  }
  return *(*before)->tokens == *(*now)->tokens && (*before)->callers == (*now)->callers &&
         (*before)->audiences == (*now)->audiences && (*before)->profile == (*now)->profile;
}

std::string Joined(const std::vector<std::string>& errors, const std::string& path) {
  constexpr std::size_t kMostErrors = 10;
  std::string all;
  for (const auto& error : errors | std::views::take(kMostErrors)) {
    all.append(all.empty() ? "" : "; ").append(error);
  }
  if (errors.size() > kMostErrors) {
    all += "; and more: assertiond --check-config " + path;
  }
  return all;
}

// A user who can write to one of these folders can remove what is remembered of PINs, keys and signatures; one who can
// replace the configuration or the module decides who may sign. It is only a warning because a Kubernetes volume is
// writable by its group.
void WarnOfOpenFolders(const Config& config, const std::string& path) {
  const auto warn = [](const char* field, const Status& trusted) {
    if (!trusted) {
      spdlog::warn("{}: {}", field, trusted.error().message);
    }
  };
  warn("state_directory", CheckTrustedFolder(config.state_directory));
  if (const auto folder = config.audit.path.substr(0, config.audit.path.rfind('/'));
      config.audit.enabled && folder != config.state_directory) {
    warn("audit.path", CheckTrustedFolder(folder));
  }
  if (!config.ledger_path.empty()) {
    warn("ledger", CheckTrustedFolder(config.ledger_path.substr(0, config.ledger_path.rfind('/'))));
  }
  warn("configuration", CheckTrustedFile(path));
  for (const auto& hsm : config.hsms) {
    warn("module", CheckTrustedFile(hsm.module_path()));
    for (const auto& [name, value] : hsm.environment) {
      if (x509::CheckRegularFile(value)) {  // as SOFTHSM2_CONF, which names the token's folder
        warn(name.c_str(), CheckTrustedFile(value));
      }
    }
  }
}

}  // namespace

Daemon::Daemon(const Config& config, std::string path, Signals& signals, const Supervisor& supervisor,
               Reloading& reloading)
    : config_(config),
      in_force_(config),
      path_(std::move(path)),
      signals_(signals),
      supervisor_(supervisor),
      reloading_(reloading),
      hsms_(config, supervisor),
      policy_(PolicyOf(config)),
      access_tokens_({.random = x509::RandomOctets,
                      .buy =
                          [this](const tokens::Wanted& wanted, tokens::AccessTokens::Receive receive,
                                 tokens::AccessTokens::IsUnwanted is_unwanted) {
                            buyer_.Buy(wanted, std::move(receive), std::move(is_unwanted));
                          },
                      .changed = LogTokenState}),
      buyer_(policy_, hsms_.group()),
      hsm_states_(readiness_, hsms_.group()),
      token_states_(readiness_, hsms_.group()) {}

int Daemon::Run(bool wait_for_token) {
  for (const auto& warning : config_.warnings) {
    spdlog::warn("{}", warning);
  }
  WarnOfOpenFolders(config_, path_);
  auto started = Start(wait_for_token);
  Record("Start", started, DifferenceOf(Config(), config_));  // in the log before the line of any call
  if (started) {
    started = Serve();
    if (!started) {
      Record("Start", started, "");
    }
  }
  if (!started) {
    if (started.error().code == Code::kCancelled) {
      spdlog::info("{}", started.error().message);
      return 0;
    }
    spdlog::critical("{}", started.error().ToString());
    return ExitStatus(started.error().code);
  }
  signals_.SetLimit(config_.drain_limit + kHangLimit);
  supervisor_.Notify("READY=1");
  reloading_.Start(
      path_, [path = path_] { return ReadConfigAndAuthorities(path); },
      [this](const Reloading::Read& read) { Reload(read); });
  WaitForStop();
  Stop();
  return 0;
}

Status Daemon::Start(bool wait_for_token) {
  RETURN_IF_ERROR(hsms_.Attach(wait_for_token, signals_));
  RETURN_IF_ERROR(OpenAuditLog());
  RETURN_IF_ERROR(BindServer());
  ASSIGN_OR_RETURN(http_, HttpListeners::Start(config_, hsms_.group(), readiness_, *metrics_, *server_));
  return {};
}

Status Daemon::Serve() {
  RETURN_IF_ERROR(server_->Accept());
  readiness_.Watch([this](bool ready) {
    server_->SetServing(ready);
    supervisor_.Notify(ready ? "STATUS=serving" : "STATUS=not ready: see the log");
  });
  WatchHsms();
  if (config_.tls) {
    spdlog::info("serving on {}:{} with TLS", InBrackets(config_.tls->host), server_->tls_port());
  }
  if (config_.kubernetes) {
    spdlog::info("serving kube-apiserver on unix:{}", config_.kubernetes->socket_path);
  }
  if (!config_.token_socket_path.empty()) {
    spdlog::info("access tokens and assertions over HTTP on unix:{}", config_.token_socket_path);
  }
  spdlog::info("serving on unix:{}", config_.socket_path);
  return {};
}

Status Daemon::OpenAuditLog() {
  const auto& audit = config_.audit;
  if (audit.enabled) {
    ASSIGN_OR_RETURN(const auto hsm, hsms_.group().ByName(audit.hsm));
    if (const auto own = hsm->token.Read({std::string(kAuditKeyLabel)}); own && own->keys.empty()) {
      RETURN_IF_ERROR(audit::CheckUnsigned(audit.path));
    }
    LogKeyToMake(hsm->token, hsm->name, kAuditKeyLabel, "signs the audit log");
    ASSIGN_OR_RETURN(const auto keys,
                     JwsKey::FindOrGenerate(hsm->token, kAuditKeyLabel, audit::kCheckpointType, x509::RandomOctets));
    std::vector<audit::Signer> signers;
    audit::PublicKeys public_keys;
    for (const auto& key : keys) {
      signers.push_back({.kid = key.kid(), .sign = key.SignThrough(hsm->queue), .jwk = key.Jwk()});
      ASSIGN_OR_RETURN(auto public_key, audit::ToPublicKeys(key.public_key()));
      public_keys.merge(public_key);
    }
    ASSIGN_OR_RETURN(audit_, audit::Log::Open(
                                 {.path = audit.path,
                                  .rotate_octets = audit.rotate_octets,
                                  .checkpoint_lines = audit.checkpoint_lines,
                                  .checkpoint_interval = audit.checkpoint_interval,
                                  .reserve = audit.reserve},
                                 signers, public_keys,
                                 [this](const Status& state) {
                                   SetAuditState(readiness_, state);
                                   if (state) {
                                     acts_.RecordKept();
                                   }
                                 },
                                 LogAuditRotation));
    acts_.SetLog(audit_.get());
    hsms_.Remember(*audit_);
    for (const auto& key : keys) {
      if (key.Jwk() == audit_->jwk()) {
        hsm->keys.Need(kAuditKeyLabel, key.id());
      }
    }
  }
  metrics_.emplace(hsms_.group(), config_.hsms.size(), readiness_, reload_outcome_, tally_, access_tokens_, tls_expiry_,
                   audit_.get());
  return {};
}

service::Addresses Daemon::ServerAddresses() {
  service::Addresses addresses{.socket_path = config_.socket_path,
                               .socket_group = config_.socket_group,
                               .tls = {},
                               .kubernetes = {},
                               .connections = {.per_peer = config_.connections.per_peer,
                                               .total = config_.connections.total,
                                               .handshakes = config_.connections.handshakes},
                               .refusals = config_.refusals};
  if (config_.kubernetes) {
    addresses.kubernetes = {.socket_path = config_.kubernetes->socket_path,
                            .socket_group = config_.kubernetes->socket_group};
  }
  if (!config_.token_socket_path.empty()) {
    addresses.front = {.socket_path = config_.token_socket_path, .socket_group = config_.token_socket_group};
  }
  if (config_.tls) {
    const auto& tls = *config_.tls;
    addresses.tls = {
        .address = InBrackets(tls.host) + ":" + std::to_string(tls.port),
        .hsm = tls.hsm,
        .certificate = tls.certificate,
        .client_ca = tls.client_ca,
        .crl_directory = tls.crl_directory,
        .crl_grace = tls.crl_grace,
        .folder = config_.state_directory + "/tls",
        .crls_noted = [this](const Status& readable, bool closed) { SetCrlState(readiness_, readable, closed); },
        .expiry = &tls_expiry_};
  }
  return addresses;
}

Status Daemon::BindServer() {
  buyer_.Start(audit_.get());
  ASSIGN_OR_RETURN(server_,
                   service::Server::Bind(
                       ServerAddresses(), policy_, hsms_.group(), [this] { return hsms_.administered(); }, audit_.get(),
                       &tally_, {.refresh_interval = config_.refresh_interval}, &access_tokens_, &reload_outcome_));
  tls_expiry_.WarnOfNews(SystemTime());
  return {};
}

void Daemon::WatchHsms() {
  hsms_.Watch([this](std::size_t rank, const std::string& name) { return WatchersOf(rank, name); },
              [this](std::size_t rank, const std::string& why) {
                const auto part = "HSM " + std::to_string(rank + 1);
                why.empty() ? readiness_.SetReady(part) : readiness_.SetWarning(part, why);
              });
  token_states_.Update();
}

AttachedHsm::Watchers Daemon::WatchersOf(std::size_t rank, const std::string& name) {
  return {.changed =
              [this, rank, name](const Status& state) {
                if (state) {
                  RefreshTlsOf(rank);
                }
                hsm_states_.Set(name, state);
              },
          .refreshed =
              [this, rank] {
                RefreshTlsOf(rank);
                token_states_.Update();
                if (rank == 0) {  // the first HSM has the pending changes
                  server_->RemoveExpiredChanges();
                }
              },
          .may_reload = {},
          .hung = [this] { EndHungForRestart(); }};
}

// Does nothing unless the HSM holds the TLS key.
void Daemon::RefreshTlsOf(std::size_t rank) {
  if (config_.tls && config_.RankOf(config_.tls->hsm) == rank) {
    tls_state_.Set(server_->RefreshTls());
    tls_expiry_.WarnOfNews(SystemTime());
  }
}

void Daemon::EndHungForRestart() const {
  if (signals_.stopping()) {
    EndHungInHsm();
  }
  spdlog::critical("too many calls into the HSM do not return: ending, to be started again");
  EndNow(kExitHung);
}

void Daemon::EndHung(const Reloading& reloading) {
  if (const auto step = reloading.CurrentStep(); !step.empty()) {
    spdlog::warn("stopped; a reload never returned from {}", step);
    EndNow(0);
  }
  EndHungInHsm();
}

void Daemon::Reload(const Reloading::Read& read) {
  supervisor_.NotifyReloading();
  reloading_.SetStep("looking at who can change its files");
  WarnOfOpenFolders(read ? *read : in_force_, path_);
  reloading_.SetStep("asking the HSMs for the clients' keys");
  const auto applied = Apply(read);
  server_->EndConnectionsOfRemoved();
  reload_outcome_.Set(applied);  // before the log tells it: an operator may look because of the line
  std::string difference;
  if (applied) {
    difference = DifferenceOf(in_force_, *read);
    in_force_ = *read;
  }
  Record("Reload", applied, difference);
  reloading_.SetStep("reading the files of TLS");
  if (const auto refreshed = server_->RefreshTls(); !refreshed) {
    spdlog::error("SIGHUP: TLS goes on with what it had: {}", refreshed.error().ToString());
  }
  tls_expiry_.Warn(SystemTime());
  reloading_.SetStep("opening the audit log again");
  if (audit_) {
    audit_->Reopen();
  }
  if (applied) {
    spdlog::info("SIGHUP: clients and operators are as the configuration says now");
  } else {
    spdlog::error("SIGHUP: the previous configuration stays in force: {}", applied.error().ToString());
  }
  supervisor_.Notify("READY=1");
}

// Applies all that the file says of clients and operators, or nothing. Keys come before the policy, so that every
// client that the policy knows has its keys.
Status Daemon::Apply(const Reloading::Read& read) {
  if (!read) {
    return Fail(Code::kConfigInvalid, Joined(read.error(), path_));
  }
  if (const auto fields = FieldsThatNeedARestart(config_, *read); !fields.empty()) {
    return Fail(Code::kConfigInvalid, path_ + ": " + fields.front() + ": takes a restart to change");
  }
  for (const auto& warning : read->warnings) {
    spdlog::warn("{}", warning);
  }
  RETURN_IF_ERROR(Reconfigure(hsms_.group(), in_force_.clients, read->clients));
  const auto before = policy_.load();
  policy_.store(PolicyOf(*read));
  const auto now = policy_.load();
  access_tokens_.Forget(
      [&](const std::string& client_id) {
        return !HaveSameTokens(before->FindClient(client_id), now->FindClient(client_id));
      },
      [&](const std::string& client_id) {
        const auto client = now->FindClient(client_id);
        return !client || !(*client)->tokens;
      });
  return {};
}

// Requests a reload on SIGHUP, and notifies the supervisor's watchdog at its interval.
void Daemon::WaitForStop() {
  using Event = Signals::Event;
  for (auto event = Event::kNone; event != Event::kStop; event = signals_.Wait(supervisor_.watchdog_interval())) {
    if (event == Event::kReload) {
      reloading_.Request();
    }
    if (supervisor_.watchdog_interval()) {
      for (const auto& hsm : hsms_.group().All()) {
        hsm->queue.Waiting();  // takes its lock: a queue that is stuck keeps the watchdog waiting
      }
      supervisor_.Notify("WATCHDOG=1");
    }
  }
}

void Daemon::Stop() {
  supervisor_.Notify("STOPPING=1");
  readiness_.SetNotReady("process", "stopping");
  readiness_.Watch({});
  server_->Stop(config_.drain_limit);
  buyer_.Stop();
  if (!reloading_.Close(kHangLimit)) {
    EndHung(reloading_);
  }
  Record("Stop", {}, "");
  acts_.ForgetLog();
  metrics_->ForgetLog();
  hsms_.ForgetLog();
  audit_.reset();
  for (const auto& hsm : hsms_.group().All()) {
    if (!hsm->queue.Drain(kHangLimit)) {
      EndHungInHsm();
    }
  }
  signals_.SetLimit(kHangLimit);  // for the threads that call the HSMs by themselves
  hsms_.StopWatching();
  spdlog::info("stopped");
}

// Writes an act of the process itself into the audit log, and the configuration that counts after it.
void Daemon::Record(const char* name, const Status& outcome, const std::string& difference) {
  audit::Event event;
  event.name = name;
  event.outcome = outcome ? "OK" : "FAILED";
  event.reason = outcome ? "" : outcome.error().message;
  event.config_sha256 = in_force_.sha256;
  event.difference = difference;
  acts_.Record(event);
}

}  // namespace assertion
