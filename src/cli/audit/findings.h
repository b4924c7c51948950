#pragma once

#include <vector>

#include "audit/verification.h"
#include "cli/finding.h"

namespace assertion::cli {

// What was done to a log, for example "removed".
const char* TamperingName(audit::Tampering kind);

// What the verification of a log found.
std::vector<Finding> FindingsOf(const audit::Verification& found);

}  // namespace assertion::cli
