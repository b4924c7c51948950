#pragma once

#include <string>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// Loads libp11's engine "pkcs11", by which gRPC takes a private key, and leaves it nothing but that: gRPC makes an
// engine the default of the whole process for every method that it has, and SoftHSM2 signs with OpenSSL's default.
// Before gRPC loads it; once is enough. kTlsUnusable: it is not installed.
Status LoadEngineForKeysOnly();

// The token's private key that `uri` (RFC 7512, no PIN) names. kTlsUnusable.
Result<KeyPtr> LoadEngineKey(const std::string& uri);

}  // namespace assertion::x509
