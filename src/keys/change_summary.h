#pragma once

#include <cstdint>
#include <string>

#include "keys/key_change.h"

namespace assertion {

// Describes the change to the second person and in the audit log: one line of visible ASCII, in the order of the
// request's fields. It is made from the change that will be carried out, not from anything that the operator says
// about it. Nothing of a private key is in it. `seen`: the later version that was seen of a ledger to accept; 0:
// unknown.
std::string SummaryOf(const KeyChange& change, std::int64_t seen = 0);
std::string SummaryOf(const KeyImport& import);

}  // namespace assertion
