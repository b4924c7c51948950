#pragma once

#include "assertion/bytes.h"

namespace assertion {

// An RSA public key (RFC 8017 section 3.1). Both numbers big-endian without leading zero octets.
struct PublicKey {
  Bytes modulus;
  Bytes exponent;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

}  // namespace assertion
