#pragma once

#include <chrono>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/client_keys.h"
#include "keys/ledger.h"

// A client's keys: what its ledger says, together with what the token shows.
namespace assertion {

// How long a look at the ledger of a client with Binding::kJwks counts. See KeyRing.
std::chrono::milliseconds LookCountsFor(const Client& client);

// The keys of the client's ledger. `contents` are of the client's label, `before` its keys as they were known. What is
// wrong with a key is its flaw. Fails only when the token cannot be asked.
Result<ClientKeys> ReadKeys(Token& token, const Client& client, const ClientLedger& ledger,
                            const TokenContents& contents, const ClientKeys& before, const Random& random, Time now);

// The copies on this token of another token's keys.
ClientKeys ReadCopies(Token& token, const Client& client, const ClientKeys& originals, const TokenContents& contents,
                      const Random& random, Time now);

}  // namespace assertion
