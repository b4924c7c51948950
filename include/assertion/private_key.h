#pragma once

#include <vector>

#include "assertion/bytes.h"
#include "assertion/public_key.h"
#include "assertion/secret.h"

namespace assertion {

// A private key in the memory of this process, on its way into a token.
struct PrivateKey {
  Secret pkcs8;  // DER of PKCS#8 (RFC 5208), not encrypted
  PublicKey public_key;
  // Views into `pkcs8`, big-endian without leading zero octets. RSA: private exponent, both primes, both exponents of
  // the Chinese remainder theorem, coefficient (RFC 8017 appendix A.1.2). On a curve: the one private number, as long
  // as the curve says.
  std::vector<BytesView> numbers;
};

}  // namespace assertion
