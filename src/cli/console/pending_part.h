#pragma once

#include <string>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// A change that waits for a second person: who asked for what, and its digest.
std::string PendingFacts(const v1::PendingChange& change, Time now);

// All of them, with the links to decide.
std::string PendingPart(const v1::ListPendingChangesResponse& pending, Time now);

}  // namespace assertion::cli
