#pragma once

#include <string>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "x509/verifier.h"

namespace assertion {

// The text that a key signs to prove itself: fresh random octets.
Result<std::string> ProofInput(const Random& random);

// A key proves itself by a signature over fresh random octets that its public key verifies: then its CKA_ID means the
// key that it seems to mean. kKeyUnproven: it does not verify. Any other error is C_Sign's or the token's.
Status ProveKey(Token& token, const Bytes& id, const Algorithm& algorithm, const x509::Verifier& verifier,
                const Random& random);

// The candidate for the key's public half that verifies a signature over fresh random octets. kKeyUnproven: none does,
// so the key is not what it seems to be. Any other error is C_Sign's or the token's.
Result<PublicKey> FindProvenHalf(Token& token, const TokenKey& key, const Algorithm& algorithm, const Random& random);

}  // namespace assertion
