#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>

#include "assertion/error.h"

namespace assertion::x509 {

// What OpenSSL needs to serve TLS without client certificates: TLS 1.2 and 1.3 with ECDHE and AEAD only, no session
// tickets (their keys would be a second secret, in memory), no renegotiation.
using ServerContext = std::shared_ptr<SSL_CTX>;

// `chain` in PEM, leaf first; `key_uri` names the leaf's private key in the token (RFC 7512, no PIN), which the engine
// resolves within the process's login (see LoadEngineForKeysOnly, which comes first). kTlsUnusable.
Result<ServerContext> NewServerContext(const std::string& chain, const std::string& engine_id,
                                       const std::string& key_uri);

}  // namespace assertion::x509
