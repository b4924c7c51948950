#pragma once

#include <openssl/x509.h>

#include <memory>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "x509/openssl.h"

namespace assertion::x509 {

using SignatureAlgorithmPtr = std::unique_ptr<X509_ALGOR, Deleter<X509_ALGOR_free>>;

// The AlgorithmIdentifier of signatures (RFC 3279 section 2.2, RFC 4055 section 3.1, RFC 8410 section 3); null when
// there is no memory.
SignatureAlgorithmPtr NewSignatureAlgorithm(const Algorithm& algorithm);

// The DER of a certificate (RFC 5280 section 4.1) or certification request (RFC 2986 section 4.2): both are a SEQUENCE
// of the part to be signed, the algorithm and the signature. Empty on failure.
Bytes ToSignedStructure(BytesView to_be_signed, const X509_ALGOR* algorithm, BytesView signature);

}  // namespace assertion::x509
