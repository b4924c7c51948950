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

// Logs changes of the keys for operators: which key signs for each client, flaws of its keys, missing keys of
// assertiond itself, stray objects on the token, and keys of clients that are not configured. Each change is logged
// once, a flaw once a minute while it lasts, and once a day each published key whose certificate has expired or will
// expire within 30 days.
class KeyLog {
 public:
  // `where` is appended to texts, for example " on HSM 'east'"; empty: there is only one HSM.
  explicit KeyLog(std::string where = {}) : where_(std::move(where)) {}

  void LogChanges(const KeyRing& keys);

 private:
  void LogCopies(const std::string& client_id, const ClientKeys& client, Time now);
  void LogOwnKeys(const std::vector<std::string>& missing);
  void LogLeftKeys(const KeyRing::LeftKeys& left);
  void LogStrayLedgers(const std::vector<StrayText>& strays);
  void LogStrays(const std::vector<Stray>& strays);
  bool IsNews(const std::string& client_id, const std::string& state);
  bool IsDue(const std::string& client_id, const std::string& state);

  const std::string where_;
  std::map<std::string, std::string> known_;  // by client id: signing kid, what it waits for, flaws, as last logged
  std::map<std::string, std::chrono::steady_clock::time_point> logged_at_;  // by client id
  KeyRing::LedgerErrors broken_;                                            // as last logged
  std::vector<std::string> missing_own_;                                    // as last logged
  KeyRing::LeftKeys left_;                                                  // as last logged
  std::vector<StrayText> stray_ledgers_;                                    // as last logged
  std::multiset<std::string> strays_;                                       // as last logged
  Time next_warning_;
};

}  // namespace assertion
