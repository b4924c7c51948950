#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_record.h"
#include "keys/schedule.h"
#include "keys/signing_key.h"

namespace assertion {

struct ScheduledKey {
  KeyRecord record;
  SigningKeyPtr key;          // null: withdrawn, and not on the token any more; or no copy, or one with a flaw
  std::optional<Error> flaw;  // what is wrong with it on the token; with a key: it was well before, and stays in use
  std::optional<Error> certificate_flaw = std::nullopt;  // why its certificate cannot be shown, or not after a restart
  Time held_until = Time(std::chrono::seconds(0));       // does not sign before, though its record says so: see KeyRing
};

// One client's keys, by sign_from.
struct ClientKeys {
  std::int64_t version = 0;
  std::vector<ScheduledKey> keys;
  bool copies = false;   // see KeyRing
  std::size_t seen = 0;  // changes with the objects on the token that bear on them
  std::chrono::steady_clock::time_point counts_until = std::chrono::steady_clock::time_point::max();  // see KeyRing

  // Null when none.
  const ScheduledKey* SigningAt(Time now) const;
  const ScheduledKey* WithKid(std::string_view kid) const;
};

// The keys of every configured client, by client id. Immutable once made.
using KeySet = std::map<std::string, ClientKeys, std::less<>>;

Schedule ScheduleOf(const ClientKeys& keys);

// True if every key that is not withdrawn is on the token without a flaw. Others are read again at each refresh: a flaw
// may end without any object's change.
bool IsWhole(const ClientKeys& keys, Time now);

// True if a key of a ledger was not found as required. Ledger and keys are read one after the other, and another
// administrator may change both in between.
bool LacksKey(const KeySet& keys);

// Whether a key that should sign did not make a good signature.
bool HasUnprovenKey(const KeySet& keys);

}  // namespace assertion
