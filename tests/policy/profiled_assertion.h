#pragma once

#include <string>

#include "assertion/certificate.h"
#include "assertion/client.h"
#include "assertion/error.h"
#include "policy/policy.h"

namespace assertion {

// Header and claims, decoded, of what a key is asked to sign.
struct Unsigned {
  std::string header;
  std::string claims;
};

// What the key of RFC 7638 section 3.1, or the P-256 key of RFC 7515 appendix A.3 for ECDSA, signs for the request, at
// 1,700,000,000 s and with random octets that are all 0xFF. The caller is the client's own.
// `certified`: the key has a chain of two certificates, whose DER is "leaf" and "issuer".
Result<Unsigned> ProfiledAssertion(Client client, const AssertionRequest& request, bool certified = true);
Result<Unsigned> UnsignedDpopProof(Client client, const DpopProofRequest& request);
Result<Unsigned> UnsignedRequestObject(Client client, const RequestObjectRequest& request);

}  // namespace assertion
