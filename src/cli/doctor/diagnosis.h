#pragma once

#include <string>
#include <vector>

#include "assertion/clock.h"
#include "cli/finding.h"
#include "config/config.h"

namespace assertion::cli {

// A client's orphans to remove: objects on the token with its label that no ledger names. Removal is permanent.
struct OrphanRemoval {
  std::string client_id;  // empty: removes nothing
  // Removes them even if the client has no ledger. Dangerous: the configuration may name the wrong ledger, and the
  // objects may be keys in use.
  bool without_ledger = false;
};

struct DiagnosisRequest {
  std::string config_path;
  OrphanRemoval removal;
  bool tries = false;     // uses the HSMs as well, see TryHsm
  std::string client_id;  // checks only this client's keys; empty: those of all
};

// Checks the HSMs as assertiond does when it starts, without a server: module, token, login (one attempt under the same
// rules), mechanisms, clock, and every client's key with its attributes and certificate. Skips the rest of an HSM that
// cannot be opened. Removes the orphans that the request names before it checks the clients, and names each object;
// kTrialKeyLabel as client id means the left-overs of trials.
std::vector<Finding> Diagnose(const Config& config, Time now, const DiagnosisRequest& request);

}  // namespace assertion::cli
