#include "observe/key_log.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace assertion {
namespace {

constexpr std::chrono::days kWarning{30};
constexpr std::chrono::days kInterval{1};
constexpr std::chrono::minutes kReminder{1};

void WarnOfExpiry(const std::string& client_id, const ClientKeys& client, Time now) {
  for (const auto& entry : client.keys) {
    if (!entry.record.PublishedAt(now) || !entry.key || entry.key->chain.empty()) {
      continue;
    }
    const auto expiry = entry.key->chain.front().not_after;
    if (expiry - now < kWarning) {
      spdlog::warn("client {}: the certificate of key {} {} on {}", client_id, entry.record.kid,
                   expiry < now ? "expired" : "expires", Rfc3339(expiry));
    }
  }
}

// The flaws of the client's keys and certificates; empty: none.
std::string FlawsOf(const ClientKeys& client) {
  std::string flaws;
  for (const auto& entry : client.keys) {
    for (const auto* flaw : {&entry.flaw, &entry.certificate_flaw}) {
      if (*flaw) {
        flaws += (flaws.empty() ? "" : "; ") + (*flaw)->ToString();
      }
    }
  }
  return flaws;
}

}  // namespace

// True if the state has changed, or was last logged more than a minute ago.
bool KeyLog::IsDue(const std::string& client_id, const std::string& state) {
  const auto now = std::chrono::steady_clock::now();
  auto& logged_at = logged_at_[client_id];
  if (!IsNews(client_id, state) && now - logged_at < kReminder) {
    return false;
  }
  logged_at = now;
  return true;
}

// True if the state has changed since the last call.
bool KeyLog::IsNews(const std::string& client_id, const std::string& state) {
  const auto [known, is_new] = known_.try_emplace(client_id, state);
  return is_new || std::exchange(known->second, state) != state;
}

void KeyLog::LogCopies(const std::string& client_id, const ClientKeys& client, Time now) {
  const auto* signing = client.SigningAt(now);
  if (signing == nullptr) {
    return;  // logged for the first HSM
  }
  const auto& kid = signing->record.kid;
  if (signing->key && IsNews(client_id, kid)) {
    spdlog::info("client {}: there is a copy of key {}{}", client_id, kid, where_);
  } else if (signing->flaw && IsNews(client_id, signing->flaw->ToString())) {
    spdlog::error("client {}{}: {}", client_id, where_, signing->flaw->ToString());
  } else if (!signing->key && !signing->flaw && IsNews(client_id, "")) {
    spdlog::warn("client {}: there is no copy of key {}{}: nobody signs for it while the first HSM is away", client_id,
                 kid, where_);
  }
}

void KeyLog::LogOwnKeys(const std::vector<std::string>& missing) {
  for (const auto& key : missing) {
    if (IsDue("own key " + key, "missing")) {
      spdlog::error("assertiond's own key {} is not on the token{}: what it signs fails until it is back", key, where_);
    }
  }
  for (const auto& key : std::exchange(missing_own_, missing)) {
    if (std::ranges::find(missing, key) == missing.end()) {
      static_cast<void>(IsNews("own key " + key, ""));
      spdlog::info("assertiond's own key {} is on the token{} again", key, where_);
    }
  }
}

// Once for each client, until it is configured again.
void KeyLog::LogLeftKeys(const KeyRing::LeftKeys& left) {
  for (const auto& [client_id, keys] : left) {
    if (!left_.contains(client_id)) {
      spdlog::warn(
          "client {} is not in the configuration{}, and its ledger has keys nevertheless ({}): configure it "
          "again to destroy them, or keep them",
          Shown(client_id), where_, keys);
    }
  }
  left_ = left;
}

// One line per change, because others may create any number of stray ledgers.
void KeyLog::LogStrayLedgers(const std::vector<StrayText>& strays) {
  if (std::exchange(stray_ledgers_, strays) == strays) {
    return;
  }
  if (strays.empty()) {
    spdlog::info("no stray ledgers any more{}", where_);
    return;
  }
  constexpr std::size_t kMostNamed = 5;
  std::string named;
  for (std::size_t i = 0; i < std::min(strays.size(), kMostNamed); ++i) {
    named += (named.empty() ? "'" : "; '") + strays[i].name + "': " + strays[i].reason;
  }
  spdlog::warn("{} stray ledgers{}, which do not verify and are ignored; assertionctl doctor lists all: {}",
               strays.size(), where_, named);
}

// One list per change.
void KeyLog::LogStrays(const std::vector<Stray>& strays) {
  constexpr std::size_t kMostLines = 10;
  std::multiset<std::string> named;  // tokens list objects in any order
  for (const auto& stray : strays) {
    named.insert(stray.label + '\0' + stray.ToString());
  }
  if (named == strays_) {
    return;
  }
  strays_ = std::move(named);
  for (std::size_t i = 0; i < std::min(strays.size(), kMostLines); ++i) {
    spdlog::warn("stray on the token{}: {} under {}: {}", where_, strays[i].ToString(), strays[i].ShownLabel(),
                 strays[i].Meaning());
  }
  if (strays.size() > kMostLines) {
    spdlog::warn("and {} more strays{}: see assertionctl doctor", strays.size() - kMostLines, where_);
  } else if (strays.empty()) {
    spdlog::info("no strays on the token{} any more", where_);
  }
}

void KeyLog::LogChanges(const KeyRing& keys) {
  const auto now = keys.Now();
  const auto snapshot = keys.Snapshot();
  const auto waiting = keys.WaitingClients();
  for (const auto& [client_id, client] : *snapshot) {
    if (client.copies) {
      LogCopies(client_id, client, now);
      continue;
    }
    const auto* signing = client.SigningAt(now);
    const auto kid = signing == nullptr ? "" : signing->record.kid;
    const auto flaws = FlawsOf(client);
    const auto waits = waiting.find(client_id);
    const auto waits_for = signing == nullptr || waits == waiting.end() ? "" : waits->second;
    const auto state = std::string(kid).append("\n").append(waits_for);
    if (!(flaws.empty() ? IsNews(client_id, state) : IsDue(client_id, kid + flaws))) {
      continue;
    }
    if (!flaws.empty()) {
      spdlog::error("client {}{}{}: {}: see assertionctl doctor", client_id, where_,
                    signing != nullptr && !signing->key ? " cannot sign" : "", flaws);
    } else if (kid.empty()) {
      spdlog::warn("client {} has no key that signs now{}: assertionctl status says what it needs", client_id, where_);
    } else if (!waits_for.empty()) {
      spdlog::warn("client {} cannot sign{}: key {} waits for {}: see assertionctl status", client_id, where_, kid,
                   waits_for);
    } else {
      spdlog::info("client {} signs with key {}{}", client_id, kid, where_);
    }
  }
  const auto broken = keys.BrokenLedgers();
  for (const auto& [client_id, error] : *broken) {
    if (IsDue("ledger of " + client_id, error.ToString())) {
      spdlog::error("client {}{}: {}", client_id, where_, error.ToString());
    }
  }
  for (auto& [client_id, error] : std::exchange(broken_, *broken)) {
    if (!broken->contains(client_id)) {
      static_cast<void>(IsNews("ledger of " + client_id, ""));
      spdlog::info("client {}{}: its ledger counts again", client_id, where_);
    }
  }
  LogOwnKeys(*keys.MissingOwnKeys());
  LogLeftKeys(*keys.KeysLeftBehind());
  LogStrayLedgers(*keys.StrayLedgers());
  LogStrays(*keys.Strays());
  if (now >= next_warning_) {
    next_warning_ = now + kInterval;
    for (const auto& [client_id, client] : *snapshot) {
      if (!client.copies) {
        WarnOfExpiry(client_id, client, now);
      }
    }
  }
}

}  // namespace assertion
