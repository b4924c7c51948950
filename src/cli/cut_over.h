#pragma once

#include "cli/command.h"

namespace assertion::cli {

// Rotation where the identity server knows one certificate at a time: between the upload of the new certificate and the
// switch in assertiond the client's assertions are refused, so the two stand as close together as a proof allows.
//
//   new key -> its certificate into WSO2, read back -> one real token request with it -> it signs
//
// Whatever fails before the switch puts the old certificate back; the new key stays published and does not sign.
// Returns the exit status.
int CutOverAtWso2(Options& options);

}  // namespace assertion::cli
