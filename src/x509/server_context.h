#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// What OpenSSL needs to serve TLS without client certificates: TLS 1.2 and 1.3 with ECDHE and AEAD only, no session
// tickets (their keys would be a second secret, in memory), no renegotiation.
using ServerContext = std::shared_ptr<SSL_CTX>;

// `chain` in PEM, leaf first; `key` is the leaf's (see NewRemoteKey). kTlsUnusable.
Result<ServerContext> NewServerContext(const std::string& chain, const KeyPtr& key);

}  // namespace assertion::x509
