#include "observe/key_log.h"

#include <spdlog/spdlog.h>

#include <chrono>

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

void KeyLog::Look(const KeyRing& keys) {
  const auto now = keys.Now();
  const auto snapshot = keys.Snapshot();
  for (const auto& [client_id, client] : *snapshot) {
    const auto* signing = client.SigningAt(now);
    const auto kid = signing == nullptr ? "" : signing->record.kid;
    const auto [known, is_new] = signing_.try_emplace(client_id, kid);
    if (is_new || known->second != kid) {
      known->second = kid;
      if (kid.empty()) {
        spdlog::warn("client {} has no key that signs now", client_id);
      } else {
        spdlog::info("client {} signs with key {}", client_id, kid);
      }
    }
  }
  if (now >= next_warning_) {
    next_warning_ = now + kInterval;
    for (const auto& [client_id, client] : *snapshot) {
      WarnOfExpiry(client_id, client, now);
    }
  }
}

}  // namespace assertion
