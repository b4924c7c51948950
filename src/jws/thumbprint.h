#pragma once

#include <string>

#include "assertion/bytes.h"
#include "assertion/public_key.h"

namespace assertion::jws {

// base64url(SHA-256(octets)): x5t#S256 over a certificate's DER (RFC 7515 section 4.1.8).
std::string Sha256Thumbprint(BytesView bytes);

// base64url(SHA-1(octets)): x5t over a certificate's DER (RFC 7515 section 4.1.7). It names a certificate and proves
// nothing.
std::string Sha1Thumbprint(BytesView bytes);

// base64(SHA-256(octets)), with padding.
std::string Sha256Fingerprint(BytesView bytes);

// SHA-256 in hexadecimal digits, as sha256sum prints it.
std::string Sha256Hex(BytesView bytes);

// The JWK thumbprint (RFC 7638): the kid of a key. Derived from the key, so that no kid is ever used again.
std::string JwkThumbprint(const PublicKey& key);

}  // namespace assertion::jws
