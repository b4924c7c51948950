#pragma once

#include <cstddef>
#include <string_view>

#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"

namespace assertion {

// CKA_APPLICATION of the throw-away data objects.
inline constexpr std::string_view kTrialApplication = "assertiond trial";

// The size of a client's ledger of 8 keys; see ToJson.
inline constexpr std::size_t kUsualLedgerOctets = 4000;

// Stores a private data object of that size, reads it back, and destroys it. kLedgerUnusable: the token stores none,
// and the message names the setting that helps. Any other error is the token's.
Status TryData(Token& token, std::size_t octets, const Random& random);

}  // namespace assertion
