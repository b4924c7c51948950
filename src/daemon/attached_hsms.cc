#include "daemon/attached_hsms.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <utility>

#include "p11/known_faults.h"
#include "p11/module.h"
#include "signing/recovery.h"

namespace assertion {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100};
constexpr milliseconds kLongestDelay{5000};

bool MayComeLater(const Error& error) { return error.code == Code::kTokenAbsent || error.code == Code::kUnavailable; }

}  // namespace

Result<AttachedHsms::Token> AttachedHsms::LogIn(std::size_t rank, int reloads) {
  ASSIGN_OR_RETURN(auto token,
                   modules_.LogIn(config_.hsms[rank], config_.state_directory, config_.lock_directory, reloads, {}));
  const auto info = token->info();
  spdlog::info("token '{}' of {}, model {}, serial {}", info.label, info.manufacturer, info.model, info.serial);
  if (p11::IsSoftHsmBehind(config_.hsms[rank].module_path(), info.manufacturer)) {
    spdlog::warn(
        "token '{}' is SoftHSM2 behind another module: changes of keys through two servers at the same moment may hide "
        "each other: change keys through one server (hsm-config/softhsm2.md)",
        info.label);
  }
  return token;
}

Result<AttachedHsms::Token> AttachedHsms::WaitFor(std::size_t rank, Signals& signals) {
  bool logged = false;
  for (auto delay = kFirstDelay;; delay = std::min(2 * delay, kLongestDelay)) {
    auto token = LogIn(rank, p11::Module::kMostReloads);
    if (token || !MayComeLater(token.error())) {
      return token;
    }
    if (!std::exchange(logged, true)) {
      spdlog::warn("waiting for the token: {}", token.error().ToString());
    }
    supervisor_.Notify("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=waiting for the token");
    if (signals.IsStoppedWithin(delay)) {
      return Fail(Code::kCancelled, "stopped while it waited for the token");
    }
  }
}

void AttachedHsms::Remember(AttachedHsm& hsm) {
  std::vector<audit::LedgerVersion> seen;
  {
    const MutexLock lock(witness_->mutex);
    if (witness_->log == nullptr) {
      return;
    }
    seen = witness_->log->ledger_versions();
  }
  hsm.Remember(seen, [witness = witness_](const audit::LedgerVersion& version) {
    const MutexLock lock(witness->mutex);
    if (witness->log != nullptr) {
      witness->log->Record(version);
    }
  });
}

void AttachedHsms::Remember(audit::Log& log) {
  {
    const MutexLock lock(witness_->mutex);
    witness_->log = &log;
  }
  for (const auto& [rank, hsm] : attached_) {
    Remember(*hsm);
  }
}

void AttachedHsms::ForgetLog() {
  const MutexLock lock(witness_->mutex);
  witness_->log = nullptr;
}

Status AttachedHsms::Attach(std::size_t rank, Token token) {
  ASSIGN_OR_RETURN(auto hsm,
                   AttachedHsm::Attach(std::move(token), config_, rank, rank == 0 ? nullptr : &group_.First()->keys));
  Remember(*hsm);
  const MutexLock lock(mutex_);
  if (std::ranges::any_of(attached_, [&](const auto& other) { return other.second->name() == hsm->name(); })) {
    return Fail(Code::kTokenAmbiguous,
                "two of the configured HSMs have the label '" + hsm->name() + "', by which their keys are told apart");
  }
  group_.Add(rank, hsm->parts());
  attached_.emplace(rank, std::move(hsm));
  return {};
}

std::vector<AdministeredHsm> AttachedHsms::administered() const {
  const MutexLock lock(mutex_);
  std::vector<AdministeredHsm> administered;
  administered.reserve(attached_.size());
  for (const auto& [rank, hsm] : attached_) {
    administered.push_back(hsm->administered());
  }
  return administered;
}

bool AttachedHsms::IsNeededToStart(std::size_t rank) const {
  return rank == 0 || (config_.tls && config_.RankOf(config_.tls->hsm) == rank) ||
         (config_.audit.enabled && config_.RankOf(config_.audit.hsm) == rank);
}

Status AttachedHsms::Attach(bool wait, Signals& signals) {
  for (std::size_t rank = 0; rank < config_.hsms.size(); ++rank) {
    const bool needed = IsNeededToStart(rank);
    auto token = needed && wait ? WaitFor(rank, signals) : LogIn(rank, p11::Module::kMostReloads);
    if (auto attached = token ? Attach(rank, std::move(*token)) : std::unexpected(token.error()); !attached) {
      if (needed || !MayComeLater(attached.error())) {
        return attached;
      }
      missing_[rank].logged = attached.error().ToString();
      spdlog::error("HSM {} is not there, it will be looked for: {}", rank + 1, missing_[rank].logged);
    }
  }
  return {};
}

// A reload ends the sessions on all tokens of a module: while another of them signs, it is rare.
bool AttachedHsms::ServesAnother(std::size_t rank) const {
  const MutexLock lock(mutex_);
  return std::ranges::any_of(attached_, [&](const auto& other) {
    return other.first != rank && config_.hsms[other.first].module_path() == config_.hsms[rank].module_path() &&
           !other.second->parts().queue.IsPaused();
  });
}

AttachedHsm::Watchers AttachedHsms::WatchersOf(std::size_t rank) {
  auto watchers = watchers_(rank, attached_.at(rank)->name());
  watchers.may_reload = [this, rank] { return !ServesAnother(rank); };
  return watchers;
}

void AttachedHsms::Watch(Watchers watchers, Absence absence) {
  watchers_ = std::move(watchers);
  absence_ = std::move(absence);
  for (const auto& [rank, missing] : missing_) {
    absence_(rank, missing.logged);
  }
  for (const auto& [rank, hsm] : attached_) {
    hsm->Watch(WatchersOf(rank));
  }
  if (!missing_.empty()) {
    seeker_ = std::jthread([this](const std::stop_token& stop) { LookForMissing(stop); });
  }
}

int AttachedHsms::ReloadsFor(std::size_t rank, Missing& missing) const {
  const auto now = std::chrono::steady_clock::now();
  if (!ServesAnother(rank)) {
    return p11::Module::kMostReloads;
  }
  if (now - missing.reloaded_at < ReloadPause(now - missing.since, /*signs=*/true)) {
    return 0;
  }
  missing.reloaded_at = now;
  return 1;
}

// Logs why it cannot be used when that is news, and once a minute.
bool AttachedHsms::AttachMissing(std::size_t rank, Missing& missing) {
  constexpr std::chrono::minutes kTellAgain{1};
  auto token = LogIn(rank, ReloadsFor(rank, missing));
  if (const auto attached = token ? Attach(rank, std::move(*token)) : std::unexpected(token.error()); !attached) {
    const auto now = std::chrono::steady_clock::now();
    const auto why = attached.error().ToString();
    if (std::exchange(missing.logged, why) != why || now - missing.logged_at >= kTellAgain) {
      missing.logged_at = now;
      spdlog::error("HSM {} cannot be used yet: {}", rank + 1, why);
      absence_(rank, why);
    }
    return false;
  }
  attached_.at(rank)->Watch(WatchersOf(rank));
  absence_(rank, "");
  spdlog::info("HSM {} is there now", rank + 1);
  return true;
}

void AttachedHsms::LookForMissing(const std::stop_token& stop) {
  Mutex waiting;
  std::condition_variable_any stopped;
  MutexLock lock(waiting);
  for (auto delay = kFirstDelay; !missing_.empty(); delay = std::min(2 * delay, kLongestDelay)) {
    stopped.wait_for(lock, stop, delay, [] { return false; });
    if (stop.stop_requested()) {
      return;
    }
    for (auto missing = missing_.begin(); missing != missing_.end();) {
      missing = AttachMissing(missing->first, missing->second) ? missing_.erase(missing) : std::next(missing);
    }
  }
}

void AttachedHsms::StopWatching() {
  seeker_ = {};
  for (const auto& [rank, hsm] : attached_) {
    hsm->StopWatching();
  }
}

}  // namespace assertion
