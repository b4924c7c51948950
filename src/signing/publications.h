#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"
#include "keys/signing_key.h"
#include "signing/hsm_group.h"

namespace assertion {

// The publications of a client's keys that gRPC and HTTP share.

// The JWK Set of the client's keys on all HSMs, as of now; see keys/publication.h.
std::string PublishedJwkSet(const HsmGroup& hsms, const ClientKeys& keys);

// The key with that kid, or the one that signs now if `kid` is empty, with its certificate chain. NOT_FOUND: there is
// no such key. FAILED_PRECONDITION: no key signs now, or the key has no certificate that can be shown.
Result<SigningKeyPtr> CertifiedKey(const HsmGroup& hsms, const std::string& client_id, std::string_view kid);

}  // namespace assertion
