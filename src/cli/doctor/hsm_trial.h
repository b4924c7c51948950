#pragma once

#include <vector>

#include "cli/finding.h"
#include "config/config.h"
#include "p11/hsm_token.h"
#include "x509/certifier.h"

namespace assertion::cli {

// doctor --try: uses the token as assertiond does, with throw-away objects under names and CKA_IDs of their own, so
// that it may run beside a server. For each configured algorithm: the trial of custody (p11/custody_trial.h), then a
// key pair that signs, is read back and destroyed. Then a data object of the ledger's size, and sessions up to the
// limit.
void TryHsm(p11::HsmToken& token, const x509::Certifier& certifier, const Config& config,
            std::vector<Finding>& findings);

// Names the throw-away objects that an interrupted trial left, and the command that destroys them.
void DiagnoseLeftOvers(p11::HsmToken& token, const std::string& config_path, std::vector<Finding>& findings);

// Destroys them, and names each.
void RemoveLeftOvers(p11::HsmToken& token, std::vector<Finding>& findings);

}  // namespace assertion::cli
