#include "keys/client_keys.h"

#include <algorithm>

namespace assertion {

const ScheduledKey* ClientKeys::SigningAt(Time now) const {
  const auto found = std::ranges::find_if(keys, [&](const auto& entry) { return entry.record.SignsAt(now); });
  return found == keys.end() ? nullptr : &*found;
}

const ScheduledKey* ClientKeys::WithKid(std::string_view kid) const {
  const auto found = std::ranges::find_if(keys, [&](const auto& entry) { return entry.record.kid == kid; });
  return found == keys.end() ? nullptr : &*found;
}

bool IsWhole(const ClientKeys& keys, Time now) {
  return std::ranges::all_of(keys.keys, [&](const auto& entry) {
    return (entry.key && !entry.flaw) || entry.record.StateAt(now) == KeyState::kWithdrawn;
  });
}

Schedule ScheduleOf(const ClientKeys& keys) {
  Schedule schedule;
  for (const auto& entry : keys.keys) {
    schedule.push_back(entry.record);
  }
  return schedule;
}

bool LacksKey(const KeySet& keys) {
  return std::ranges::any_of(keys, [](const auto& client) {
    return std::ranges::any_of(client.second.keys, [&](const auto& entry) {
      return !client.second.copies && entry.flaw &&
             (entry.flaw->code == Code::kLedgerUnusable || entry.flaw->code == Code::kKeyAmbiguous);
    });
  });
}

bool HasUnprovenKey(const KeySet& keys) {
  return std::ranges::any_of(keys, [](const auto& client) {
    return std::ranges::any_of(client.second.keys,
                               [](const auto& entry) { return entry.flaw && entry.flaw->code == Code::kKeyUnproven; });
  });
}

}  // namespace assertion
