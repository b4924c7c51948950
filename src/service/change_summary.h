#pragma once

#include <string>

#include "keys/pending_changes.h"

namespace assertion::service {

// What the change asks for, for the second person: one line without control characters, in the order of the request's
// fields. It is read from the request that the digest is over.
std::string SummaryOf(const PendingChange& change);

}  // namespace assertion::service
