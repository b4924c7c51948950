#pragma once

#include <string>
#include <vector>

#include "assertion/clock.h"
#include "cli/finding.h"
#include "config/config.h"

namespace assertion::cli {

// Whose orphans to remove: objects on the token with the client's label that no ledger names. What is removed is gone
// for ever.
struct OrphanRemoval {
  std::string client_id;  // empty: nobody's
  // Also when the client has no ledger. Then the configuration may name the wrong one, and what looks like orphans may
  // be keys in use.
  bool without_ledger = false;
};

// Looks at the HSM as assertiond would at its start, without a server: module, token, login (one attempt under the same
// rules), mechanisms, clock, and every client's key with its attributes and certificate. Stops where going on is
// pointless. Before it looks at a client it removes what `removal` asks for, and names every object.
std::vector<Finding> Diagnose(const Config& config, Time now, const OrphanRemoval& removal);

}  // namespace assertion::cli
