#include "keys/key_reading.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "keys/key_admission.h"

namespace assertion {
namespace {

// Until when a key that was not in the ledger at the last look is held back. One that was forced to sign early is not.
Time HeldUntil(const Client& client, const KeyRecord& record, Time now) {
  const bool waits = record.sign_from != kNever && record.sign_from - record.publish_from >= client.publish_lead;
  const auto safe = now + std::chrono::ceil<std::chrono::seconds>(LookCountsFor(client));
  return client.binding == Binding::kJwks && waits && record.sign_from < safe ? safe : Time();
}

}  // namespace

std::chrono::milliseconds LookCountsFor(const Client& client) {
  return std::chrono::milliseconds(client.publish_lead) * 3 / 4;
}

Result<ClientKeys> ReadKeys(Token& token, const Client& client, const ClientLedger& ledger,
                            const TokenContents& contents, const ClientKeys& before, const Random& random, Time now) {
  const bool others_sign = before.SigningAt(now) != nullptr;  // false at the first look: nobody knows how late it is
  ClientKeys keys{.version = ledger.version, .keys = {}};
  for (const auto& record : ledger.keys) {
    const bool withdrawn = record.StateAt(now) == KeyState::kWithdrawn;
    const auto* found = FindKey(contents, client.client_id, record);
    auto admitted = found != nullptr
                        ? AdmitKey(token, client.client_id, record, *found, contents, before, withdrawn, random)
                        : Fail(Code::kLedgerUnusable,
                               KeyNameOf(client.client_id, record) + " is in the ledger but not on the token");
    if (!admitted && IsTokenError(admitted.error())) {
      return std::unexpected(admitted.error());
    }
    const auto* earlier = before.WithKid(record.kid);
    const auto held_until = earlier != nullptr ? earlier->held_until
                            : others_sign      ? HeldUntil(client, record, now)
                                               : Time();
    if (admitted) {
      admitted->held_until = held_until;
      keys.keys.push_back(std::move(*admitted));
      continue;
    }
    ScheduledKey entry{.record = record, .key = nullptr, .flaw = {}, .certificate_flaw = {}, .held_until = held_until};
    if (!withdrawn) {
      // One that is not found may be hidden by a token that is away: its signatures will tell.
      const auto* known = found == nullptr ? before.WithKid(record.kid) : nullptr;
      entry.key = known == nullptr ? nullptr : known->key;
      entry.flaw = std::move(admitted.error());
    }
    keys.keys.push_back(std::move(entry));
  }
  std::ranges::stable_sort(keys.keys, {}, [](const auto& entry) { return entry.record.sign_from; });
  return keys;
}

ClientKeys ReadCopies(Token& token, const Client& client, const ClientKeys& originals, const TokenContents& contents,
                      const Random& random, Time now) {
  ClientKeys keys{.version = originals.version, .keys = {}, .copies = true};
  for (const auto& entry : originals.keys) {
    const auto& record = entry.record;
    const auto& original = entry.key;
    ScheduledKey copy{.record = record, .key = nullptr, .flaw = {}};
    const auto* found = FindKey(contents, client.client_id, record);
    if (found != nullptr && original && record.StateAt(now) != KeyState::kWithdrawn) {
      auto admitted = AdmitCopy(token, original, record, *found, random);
      copy.key = admitted ? std::move(*admitted) : nullptr;
      copy.flaw = admitted ? std::nullopt : std::optional(std::move(admitted.error()));
    }
    keys.keys.push_back(std::move(copy));
  }
  return keys;
}

}  // namespace assertion
