#pragma once

#include <string>

#include "assertion/error.h"

namespace assertion::service {

// Whether nobody but root and this process's own user can put something else where `folder` is, or into it: it and
// every folder above it, through symbolic links, is owned by one of them and is not writable by a group or by others. A
// sticky folder like /tmp may be writable if it is not the last and what comes below it is owned so.
// FAILED_PRECONDITION names the folder and what to do.
Status CheckTrustedFolder(const std::string& folder);

}  // namespace assertion::service
