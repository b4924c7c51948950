#include "cli/key/key_changes.h"

#include <map>
#include <tuple>

#include "cli/instant.h"
#include "cli/key/key_text.h"

namespace assertion::cli {
namespace {

// A key is listed once for each HSM that has it.
using Place = std::tuple<std::string, std::string, std::string>;

std::map<Place, const v1::Key*> ByPlace(const v1::ListKeysResponse& response) {
  std::map<Place, const v1::Key*> keys;
  for (const auto& key : response.keys()) {
    keys[{key.client_id(), key.hsm(), key.kid()}] = &key;
  }
  return keys;
}

bool SameSchedule(const v1::Key& a, const v1::Key& b) {
  const auto instants = [](const v1::Key& key) {
    return std::tuple(ToTime(key.publish_from()), ToTime(key.sign_from()), ToTime(key.sign_until()),
                      ToTime(key.publish_until()));
  };
  return instants(a) == instants(b);
}

std::string StateChange(const v1::Key& before, const v1::Key& key, Time now) {
  const bool withdrawn = key.state() == v1::KEY_STATE_WITHDRAWN;
  return withdrawn && ToTime(before.publish_until()) > now ? "revoked" : StateName(key.state());
}

void AddChanges(const v1::Key& before, const v1::Key& key, Time now, std::vector<KeyChange>& changes) {
  if (before.x5t_s256() != key.x5t_s256()) {
    changes.push_back({.what = "certificate stored", .key = key});
  }
  if (before.waits_for() != key.waits_for()) {
    changes.push_back(
        {.what = key.waits_for().empty() ? "waits no longer" : "waits for " + key.waits_for(), .key = key});
  }
  if (before.state() != key.state()) {
    changes.push_back({.what = StateChange(before, key, now), .key = key});
  } else if (!SameSchedule(before, key)) {
    changes.push_back({.what = "rescheduled", .key = key});
  }
}

}  // namespace

std::vector<KeyChange> KeyChanges(const v1::ListKeysResponse& before, const v1::ListKeysResponse& now_listed,
                                  Time now) {
  const auto old_keys = ByPlace(before);
  const auto new_keys = ByPlace(now_listed);
  std::vector<KeyChange> changes;
  for (const auto& [place, key] : new_keys) {
    if (const auto old = old_keys.find(place); old != old_keys.end()) {
      AddChanges(*old->second, *key, now, changes);
    } else {
      changes.push_back({.what = StateName(key->state()), .key = *key});
    }
  }
  for (const auto& [place, key] : old_keys) {
    if (!new_keys.contains(place)) {
      changes.push_back({.what = "gone", .key = *key});
    }
  }
  return changes;
}

}  // namespace assertion::cli
