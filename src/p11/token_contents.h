#pragma once

#include <functional>
#include <set>
#include <string>

#include "assertion/error.h"
#include "assertion/token.h"
#include "p11/session.h"

namespace assertion::p11 {

// Reads the token once, as Token::Read describes it. Handles are returned without an epoch. kNotFound when an object
// vanished during the reading: see RetryWhileObjectsVanish.
Result<TokenContents> ReadTokenContents(Session& session, const std::set<std::string, std::less<>>& labels,
                                        const std::set<Bytes>& ids);

}  // namespace assertion::p11
