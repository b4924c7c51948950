#pragma once

#include <p11-kit/pkcs11.h>

#include <optional>
#include <vector>

#include "assertion/error.h"
#include "assertion/public_key.h"
#include "p11/session.h"

namespace assertion::p11 {

// Public keys as the token's objects show them, and which of them may belong to a private key.

// True: the error is about the one key that was read. False: about the token.
bool IsFlaw(const Error& error);

// Empty when the object does not hold a public key that we can use: anyone may have put it there.
Result<std::optional<PublicKey>> ReadPublicKey(Session& session, CK_OBJECT_HANDLE object);

// The public keys that may belong to `private_half`: first the one that the private key object itself shows, then those
// of `halves` (public key objects) that are of its kind, that is on its curve or with its modulus.
Result<std::vector<PublicKey>> ReadCandidates(Session& session, CK_OBJECT_HANDLE private_half,
                                              const std::vector<CK_OBJECT_HANDLE>& halves);

// The error of halves that do not belong together.
std::unexpected<Error> NotOnePair(std::string detail);

}  // namespace assertion::p11
