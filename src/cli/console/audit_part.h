#pragma once

#include <string>
#include <vector>

#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// The last lines of the audit log, and whether its files are what the server wrote: verified with the key of `head`,
// and with its hash at its sequence.
std::string AuditPart(const std::vector<std::string>& files, const v1::GetAuditHeadResponse& head);

}  // namespace assertion::cli
