#pragma once

#include <string>

#include "assertion/error.h"

namespace assertion::service {

// Checks that only root and this process's own user can replace `folder` or its contents: the folder and
// every folder above it, through symbolic links, is owned by one of them and is not writable by a group or by others. A
// sticky folder like /tmp may be writable if it is not the last and what comes below it is owned so.
// FAILED_PRECONDITION names the folder and what to do.
Status CheckTrustedFolder(const std::string& folder);

}  // namespace assertion::service
