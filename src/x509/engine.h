#pragma once

#include <string>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// The name under which gRPC finds an engine that loads private keys with libp11's. It does nothing else: gRPC makes an
// engine the default of the whole process for every method that it has, and SoftHSM2 signs with OpenSSL's default.
// libp11's keeps sessions, and never looks whether they still stand: `epoch` is the token's (Token::Epoch), and each
// has engines of its own, which stay, for the end of libp11's would be a C_Finalize. kTlsUnusable: not installed.
Result<std::string> LoadEngineForKeysOnly(unsigned epoch);

// The token's private key that `uri` (RFC 7512, no PIN) names, from the engine of that name. kTlsUnusable.
Result<KeyPtr> LoadEngineKey(const std::string& engine_id, const std::string& uri);

}  // namespace assertion::x509
