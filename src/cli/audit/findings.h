#pragma once

#include <cstdint>
#include <vector>

#include "audit/verification.h"
#include "cli/finding.h"

namespace assertion::cli {

// What was done to a log, for example "removed".
const char* TamperingName(audit::Tampering kind);

// Lines after the last checkpoint: a running server has some, unless its last line is a checkpoint.
enum class Unproven : std::uint8_t { kWarns, kWrong };

// What the verification of a log found.
std::vector<Finding> FindingsOf(const audit::Verification& found, Unproven tail = Unproven::kWarns);

}  // namespace assertion::cli
