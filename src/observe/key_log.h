#pragma once

#include <map>
#include <string>

#include "assertion/clock.h"
#include "keys/key_ring.h"

namespace assertion {

// Logs what operators should hear of the keys: which key signs for each client, once for each change; and once a day
// the published keys whose certificate has expired or will within 30 days.
class KeyLog {
 public:
  void Look(const KeyRing& keys);

 private:
  std::map<std::string, std::string> signing_;  // kid by client id; empty: none
  Time next_warning_;
};

}  // namespace assertion
