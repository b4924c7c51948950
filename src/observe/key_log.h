#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "keys/key_ring.h"
#include "keys/stray.h"

namespace assertion {

// Logs what operators should hear of the keys: which key signs for each client and what is wrong with its keys, and
// which objects on the token are strays, once for each change, and a flaw once a minute while it lasts; and once a day
// the published keys whose certificate has expired or will within 30 days.
class KeyLog {
 public:
  // `where` is added to what it says, for example " on HSM 'east'"; empty: there is one HSM only.
  explicit KeyLog(std::string where = {}) : where_(std::move(where)) {}

  void Look(const KeyRing& keys);

 private:
  void LookAtCopies(const std::string& client_id, const ClientKeys& client, Time now);
  void LookAtStrayLedgers(const std::vector<StrayText>& strays);
  void LookAtStrays(const std::vector<Stray>& strays);
  bool IsNews(const std::string& client_id, const std::string& state);
  bool IsDue(const std::string& client_id, const std::string& state);

  const std::string where_;
  std::map<std::string, std::string> known_;                           // by client id: the kid that signs, and flaws
  std::map<std::string, std::chrono::steady_clock::time_point> told_;  // by client id: when a flaw was last logged
  KeyRing::LedgerErrors broken_;                                       // those of the last look
  std::vector<StrayText> stray_ledgers_;                               // those of the last look
  std::multiset<std::string> strays_;                                  // those of the last look
  Time next_warning_;
};

}  // namespace assertion
