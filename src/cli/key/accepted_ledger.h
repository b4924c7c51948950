#pragma once

#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// Says which ledger counts again; returns the exit status.
int WriteAcceptedLedger(const v1::AcceptedLedger& ledger, bool json);

}  // namespace assertion::cli
