#pragma once

#include <string>

#include "cli/key/rotate.h"

namespace assertion::cli {

// Rotates where the identity server knows one certificate at a time. Between the upload of the new certificate and the
// switch in assertiond the client's assertions are refused, so the two are as close together as a proof allows:
//
//   new key -> upload its certificate to WSO2, read it back -> one real token request with it -> it signs
//
// Anything that fails before the switch puts the old certificate back; the new key stays published and does not sign.
// Returns the exit status.
int CutOverAtWso2(const RotateKeyOptions& options, const std::string& server);

}  // namespace assertion::cli
