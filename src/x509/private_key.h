#pragma once

#include <optional>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/private_key.h"
#include "assertion/secret.h"

namespace assertion::x509 {

// The longest private key in octets: RSA-4096 has 2.4 KB.
inline constexpr std::size_t kLongestPkcs8 = 8192;

// Reads PKCS#8 in DER without a copy of the private numbers. INVALID_ARGUMENT: it is not a key of a kind that
// assertiond signs with. That the halves belong together is not checked: a signature of the key proves it.
Result<PrivateKey> ParsePkcs8(Secret der);

// The first private key of a PEM text as PKCS#8 in DER, without encryption: PKCS#8, PKCS#1 or RFC 5915. `passphrase` is
// for an encrypted key; unset: OpenSSL asks on the terminal. OpenSSL leaves copies of the key in freed memory, so this
// is for processes that end soon. INVALID_ARGUMENT; UNAVAILABLE: there is no terminal to ask on.
Result<Secret> ReadPemKey(BytesView pem, const std::optional<Secret>& passphrase);

}  // namespace assertion::x509
