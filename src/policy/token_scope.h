#pragma once

#include <string>
#include <string_view>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "assertion/token_source.h"

namespace assertion {

// The scopes of an access token, each once, in order, with one blank between two. `wanted` empty: all that the caller
// may have. PERMISSION_DENIED: the caller may not have one of them, or the configuration does not name it.
// Precondition: the caller is one of the client's.
Result<std::string> AllowedTokenScope(const Caller& caller, const TokenSource& source, std::string_view wanted);

// FAILED_PRECONDITION: the identity server granted a configured scope that the caller may not have. Some servers grant
// more than was asked. Scopes that the configuration does not name are theirs to give.
Status CheckGrantedScope(const Caller& caller, const TokenSource& source, std::string_view granted);

}  // namespace assertion
