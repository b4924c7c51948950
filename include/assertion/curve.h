#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "assertion/key_type.h"

namespace assertion {

// An elliptic curve with keys that sign, and the names and numbers that each library uses for it.
struct Curve {
  std::string_view name;  // the JWK "crv" (RFC 7518 section 6.2.1.1, RFC 8037 section 2)
  const KeyType* key_type;
  int bits;
  std::size_t octets;                // length of a coordinate and of each of a signature's two numbers
  std::string_view openssl_name;     // the group, or the key type where the curve is one of its own
  std::string_view ec_params;        // DER of CKA_EC_PARAMS
  std::string_view other_ec_params;  // another encoding that PKCS#11 v3.0 allows; may be empty
};

inline constexpr std::array kCurves = {
    Curve{"P-256", &kEc, 256, 32, "prime256v1", "\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07", ""},
    Curve{"P-384", &kEc, 384, 48, "secp384r1", std::string_view("\x06\x05\x2B\x81\x04\x00\x22", 7), ""},
    Curve{"P-521", &kEc, 521, 66, "secp521r1", std::string_view("\x06\x05\x2B\x81\x04\x00\x23", 7), ""},
    Curve{"Ed25519", &kOkp, 256, 32, "ED25519",
          "\x13\x0C"
          "edwards25519",
          "\x06\x03\x2B\x65\x70"},
};

// Null when the project does not offer it; for example FindCurve("prime256v1", &Curve::openssl_name).
constexpr const Curve* FindCurve(std::string_view value, std::string_view Curve::* member) {
  const auto* found = std::ranges::find(kCurves, value, member);
  return found == kCurves.end() ? nullptr : found;
}

}  // namespace assertion
