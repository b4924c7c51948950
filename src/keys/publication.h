#pragma once

#include <string>

#include "assertion/clock.h"
#include "keys/key_ring.h"

namespace assertion {

// The keys of a client that identity servers see: those that are published now as a JWK Set (RFC 7517 section 5),
// the signing key first. A certificate that is not valid now is left out: servers would hold it against the key. Stays
// under 50 KiB, what WSO2 Identity Server reads at most: without certificates if need be.
std::string JwkSet(const ClientKeys& keys, Time now);

}  // namespace assertion
