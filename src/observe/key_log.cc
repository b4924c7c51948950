#include "observe/key_log.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

namespace assertion {
namespace {

constexpr std::chrono::days kWarning{30};
constexpr std::chrono::days kInterval{1};

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

}  // namespace

// Whether it is another than at the last look.
bool KeyLog::IsNews(const std::string& client_id, const std::string& state) {
  const auto [known, is_new] = known_.try_emplace(client_id, state);
  return is_new || std::exchange(known->second, state) != state;
}

void KeyLog::LookAtCopies(const std::string& client_id, const ClientKeys& client, Time now) {
  const auto* signing = client.SigningAt(now);
  if (signing == nullptr) {
    return;  // the first HSM's ring says so
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

void KeyLog::Look(const KeyRing& keys) {
  const auto now = keys.Now();
  const auto snapshot = keys.Snapshot();
  for (const auto& [client_id, client] : *snapshot) {
    if (client.copies) {
      LookAtCopies(client_id, client, now);
      continue;
    }
    const auto* signing = client.SigningAt(now);
    const auto kid = signing == nullptr ? "" : signing->record.kid;
    if (!IsNews(client_id, kid)) {
      continue;
    }
    if (kid.empty()) {
      spdlog::warn("client {} has no key that signs now{}", client_id, where_);
    } else {
      spdlog::info("client {} signs with key {}{}", client_id, kid, where_);
    }
  }
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
