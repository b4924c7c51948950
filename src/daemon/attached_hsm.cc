#include "daemon/attached_hsm.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "daemon/key_to_make.h"
#include "keys/file_ledger.h"
#include "keys/token_ledger.h"
#include "signing/calibration.h"
#include "x509/openssl.h"

namespace assertion {
namespace {

constexpr std::size_t kQueueCapacity = 4096;

// Callers that have waited for the start come before the measurement of sessions, which keeps the token busy for a
// third of a second. But those of a slow HSM wait for its outcome: more sessions.
constexpr std::chrono::milliseconds kLull{250};
constexpr std::chrono::milliseconds kLongestToLull{2000};

// Names this process among all that use the token. The name survives a restart, and no two processes listen on one
// socket.
std::string HolderOf(const Config& config) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + ":" + config.socket_path;
}

Result<std::unique_ptr<Ledger>> OpenLedger(const Config& config, std::size_t rank, p11::HsmToken& token) {
  if (!config.ledger_path.empty()) {
    return std::make_unique<FileLedger>(token, config.LedgerPath(rank, token.info().serial), x509::RandomOctets);
  }
  return TokenLedger::Open(token, HolderOf(config), SystemTime, x509::RandomOctets);
}

// At the first start after an update to signed ledgers: accepts the unsigned ones once, and logs each.
Status TakeOver(Ledger& ledger, const std::string& name) {
  ASSIGN_OR_RETURN(const auto done, ledger.TakeOver());
  for (const auto& client_id : done.clients) {
    spdlog::warn("client {}: its ledger on HSM '{}' was not signed; it was taken over as it stood, and is signed now",
                 client_id, name);
  }
  for (const auto& [client_id, error] : done.left) {
    spdlog::error("client {}: its ledger on HSM '{}' was not signed, and could not be taken over: {}", client_id, name,
                  error.ToString());
  }
  if (done.dropped > 0) {
    spdlog::warn("HSM '{}': {} pending changes were not signed and are gone: ask for them again", name, done.dropped);
  }
  return {};
}

// This many sessions keep a token in this machine busy.
std::size_t LeastSessions() { return std::max(2U, std::thread::hardware_concurrency()); }

}  // namespace

Result<std::unique_ptr<AttachedHsm>> AttachedHsm::Attach(std::unique_ptr<p11::HsmToken> token, const Config& config,
                                                         std::size_t rank, const KeyRing* originals) {
  std::unique_ptr<AttachedHsm> hsm(new AttachedHsm);
  hsm->name_ = token->info().label;
  hsm->refresh_interval_ = config.refresh_interval;
  hsm->token_ = std::move(token);
  ASSIGN_OR_RETURN(auto certifier, x509::Certifier::New(config.hsms[rank].module_path(), config.hsms[rank].init_args));
  hsm->certifier_ = std::move(certifier);
  hsm->pending_file_ = config.PendingPath(rank, hsm->token_->info().serial);
  ASSIGN_OR_RETURN(auto ledger, OpenLedger(config, rank, *hsm->token_));
  hsm->ledger_ = std::move(ledger);
  LogKeyToMake(*hsm->token_, hsm->name_, kLedgerKeyLabel, "signs the ledger");
  RETURN_IF_ERROR(TakeOver(*hsm->ledger_, hsm->name_));
  ASSIGN_OR_RETURN(auto keys, KeyRing::Load(*hsm->token_, *hsm->ledger_,
                                            originals == nullptr ? config.clients : originals->clients(), SystemTime,
                                            x509::RandomOctets, originals));
  hsm->keys_ = std::move(keys);
  hsm->custodian_ =
      std::make_unique<KeyCustodian>(*hsm->token_, *hsm->ledger_, *hsm->certifier_, *hsm->keys_, x509::RandomOctets);
  hsm->measures_sessions_ = !config.sessions;
  hsm->queue_ = std::make_unique<SigningQueue>(
      *hsm->token_,
      SigningQueue::Options{.sessions = config.sessions.value_or(LeastSessions()), .capacity = kQueueCapacity});
  hsm->key_log_.emplace(config.hsms.size() > 1 ? " on HSM '" + hsm->name_ + "'" : "");
  return hsm;
}

void AttachedHsm::Remember(const std::vector<audit::LedgerVersion>& seen,
                           std::function<void(const audit::LedgerVersion&)> record) {
  const auto serial = token_->info().serial;
  std::map<std::string, std::int64_t, std::less<>> floor;
  for (const auto& version : seen) {
    if (version.hsm == name_ && version.serial == serial) {
      floor[version.client_id] = std::max(floor[version.client_id], version.version);
    }
  }
  keys_->Remember(std::move(floor), [record = std::move(record), name = name_, serial](const ClientLedger& ledger) {
    record({.hsm = name,
            .serial = serial,
            .client_id = ledger.client_id,
            .version = ledger.version,
            .hash = HashOf(ledger)});
  });
  key_log_->LogChanges(*keys_);
}

void AttachedHsm::Watch(Watchers watchers) {
  key_log_->LogChanges(*keys_);  // not before Remember, which may refuse a ledger
  queue_->OnHang(watchers.hung);
  MeasureSessions();
  keys_->KeepFresh(refresh_interval_,
                   [this, refreshed = std::move(watchers.refreshed), failing = false](const Status& status) mutable {
                     if (!status && !failing) {
                       spdlog::error("the keys on HSM '{}' could not be refreshed, those known stay in use: {}", name_,
                                     status.error().ToString());
                     } else if (status && failing) {
                       spdlog::info("the keys on HSM '{}' are fresh again", name_);
                     }
                     failing = !status;
                     key_log_->LogChanges(*keys_);
                     TellWhatWasLearnt();
                     MeasureSessions();
                     refreshed();
                   });
  auto changed = [this, changed = std::move(watchers.changed),
                  lost_at = std::optional<std::chrono::steady_clock::time_point>()](const Status& signs) mutable {
    constexpr std::chrono::seconds kUnnoticed{1};  // the longest that a loss goes unnoticed
    if (!signs) {
      lost_at = lost_at.value_or(std::chrono::steady_clock::now());
    } else if (lost_at) {
      keys_->RepeatRefresh(*lost_at - kUnnoticed);
      lost_at.reset();
    }
    changed(signs);
  };
  recovery_.emplace(*token_, *keys_, *queue_, std::move(changed), std::move(watchers.hung),
                    std::move(watchers.may_reload));
}

// Once for each attribute, and for each type of key.
void AttachedHsm::TellWhatWasLearnt() {
  for (const auto& [type, trial] : token_->trials()) {
    if (!told_.emplace(type).second) {
      continue;
    }
    if (trial.held()) {
      spdlog::info("HSM '{}': custody of {} keys was tried and held", name_, type);
    } else {
      spdlog::warn("HSM '{}': unproven custody of {} keys: it let a throw-away key out by {}", name_, type,
                   trial.Names(WayOutcome::kLetThrough));
    }
    if (const auto loose = trial.Names(WayOutcome::kFlagNotProtected); !loose.empty()) {
      spdlog::warn("HSM '{}' lets attributes of {} keys be changed or misused, and the keys stay inside: {}", name_,
                   type, loose);
    }
    if (!trial.left_behind.empty()) {
      spdlog::warn("HSM '{}': the throw-away key '{}' may still be there, see doctor: {}", name_, kTrialKeyLabel,
                   trial.left_behind);
    }
  }
  for (const auto& attribute : token_->not_asked()) {
    if (told_.insert(attribute).second) {
      spdlog::warn("HSM '{}' takes no {} in the template of a new key: new keys do without it", name_, attribute);
    }
  }
}

// Measures once with success, when there is a key, on a thread of its own: a network HSM takes a second for it.
void AttachedHsm::MeasureSessions() {
  if (!measures_sessions_) {
    return;
  }
  auto keys = keys_->SigningKeys();
  auto input = keys_->ProofInput();
  if (keys.empty() || !input) {
    return;
  }
  measures_sessions_ = false;
  const auto epoch = token_->Epoch();
  measuring_ = std::jthread(
      [this, epoch, key = std::move(keys.front()), input = std::move(*input)](const std::stop_token& stop) {
        queue_->AwaitLull(kLull, kLongestToLull, stop);
        if (const auto found = Calibrate(*token_, key->id, *key->algorithm, input.text(), LeastSessions(), stop)) {
          queue_->GrowTo(found->sessions);
          spdlog::info("HSM '{}' signs with {} sessions: {:.0f} {} signatures a second, more sessions make no more",
                       name_, found->sessions, found->rate, key->algorithm->name);
        } else if (queue_->IsPaused() || token_->Epoch() != epoch) {
          measures_sessions_ = true;  // it was lost meanwhile, or reloaded: after the next refresh
        }
      });
}

void AttachedHsm::StopWatching() {
  keys_->StopRefreshing();
  measuring_ = {};
  recovery_.reset();
}

}  // namespace assertion
