#pragma once

#include <functional>
#include <string>
#include <vector>

#include "assertion/token.h"
#include "keys/key_custodian.h"
#include "keys/key_ring.h"

namespace assertion {

// One HSM as the administration of keys sees it. The signing path has no KeyCustodian: it cannot change or destroy
// keys.
struct AdministeredHsm {
  std::string name;  // its token's label
  Token& token;
  KeyRing& keys;
  KeyCustodian& custodian;
  std::string pending_file = {};  // for pending changes that the token does not store; empty: none
};

// The HSMs that are attached now, in the order of the configuration. There is always one. Any thread may call it.
using AdministeredHsms = std::function<std::vector<AdministeredHsm>()>;

}  // namespace assertion
