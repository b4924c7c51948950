#pragma once

#include <functional>
#include <string>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// The RSA private-key operation (RFC 8017 section 5.2.1) over a block that is padded already and as long as the
// modulus. Called by any thread.
using RsaOperation = std::function<Result<Bytes>(BytesView block)>;

// A private key for OpenSSL that is not here: `sign` computes with it, and each result is checked with the public key
// before OpenSSL sees it. kTlsUnusable.
Result<KeyPtr> NewRemoteKey(const RsaPublicKey& public_key, RsaOperation sign);

// Makes the key known to gRPC, which takes a key that is not in a file only from an OpenSSL engine. Returns how gRPC
// names it, "engine:ID:NAME". The engine loads keys and does nothing else: gRPC makes an engine the default of the
// whole process for every method that it has, and SoftHSM2 computes with OpenSSL's defaults. What is published stays
// until the process ends. kTlsUnusable.
Result<std::string> PublishKey(const KeyPtr& key);

}  // namespace assertion::x509
