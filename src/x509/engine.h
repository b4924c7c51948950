#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// Signs a message with one of the RSA algorithms (RFC 7518 sections 3.3 and 3.5). Called by any thread.
using MessageSigner = std::function<Result<Bytes>(const Algorithm& algorithm, std::string_view message)>;

// A private key for OpenSSL that is elsewhere: `sign` makes its signatures, which must be verified already. It signs as
// TLS 1.2 and 1.3 do, RSASSA-PKCS1-v1_5 or RSASSA-PSS over SHA-256, 384 or 512, and nothing else. kTlsUnusable.
Result<KeyPtr> NewRemoteKey(const RsaPublicKey& public_key, MessageSigner sign);

// Makes the key known to gRPC, which takes a key that is not in a file only from an OpenSSL engine. Returns how gRPC
// names it, "engine:ID:NAME". The engine loads keys and does nothing else: gRPC makes an engine the default of the
// whole process for every method that it has, and SoftHSM2 computes with OpenSSL's defaults. What is published stays
// until the process ends. kTlsUnusable.
Result<std::string> PublishKey(const KeyPtr& key);

}  // namespace assertion::x509
