#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/caller.h"
#include "assertion/error.h"

namespace assertion {

// `pattern` is the identity itself, or ends with "/*" and matches each SPIFFE ID that continues it.
bool MatchesIdentity(std::string_view pattern, std::string_view identity);

// True when one of the caller's identities matches one of the patterns of a configuration's list.
bool IsListed(const Caller& caller, const std::vector<std::string>& patterns);

// PERMISSION_DENIED: tells the caller its identity and what it may not do.
std::unexpected<Error> Denied(const Caller& caller, std::string_view what);

}  // namespace assertion
