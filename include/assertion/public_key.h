#pragma once

#include <string>
#include <variant>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/curve.h"

namespace assertion {

// RFC 8017 section 3.1. Both numbers big-endian without leading zero octets.
struct RsaPublicKey {
  Bytes modulus;
  Bytes exponent;

  friend bool operator==(const RsaPublicKey&, const RsaPublicKey&) = default;
};

// A point of a curve, as a JWK has it (RFC 7518 section 6.2.1, RFC 8037 section 2): each coordinate is as long as the
// curve says; an Ed25519 key has x alone.
struct CurvePublicKey {
  const Curve* curve;
  Bytes x;
  Bytes y;

  friend bool operator==(const CurvePublicKey&, const CurvePublicKey&) = default;
};

using PublicKey = std::variant<RsaPublicKey, CurvePublicKey>;

// Null: RSA.
inline const Curve* CurveOf(const PublicKey& key) {
  const auto* point = std::get_if<CurvePublicKey>(&key);
  return point == nullptr ? nullptr : point->curve;
}

inline int KeyBits(const PublicKey& key) {
  const auto* curve = CurveOf(key);
  return curve != nullptr ? curve->bits : static_cast<int>(std::get<RsaPublicKey>(key).modulus.size() * 8);
}

// True when the algorithm signs with keys of that type and curve.
inline bool Fits(const PublicKey& key, const Algorithm& algorithm) { return CurveOf(key) == algorithm.curve; }

// For example "RSA" or "P-256".
inline std::string KindOf(const PublicKey& key) {
  const auto* curve = CurveOf(key);
  return std::string(curve == nullptr ? kRsa.name : curve->name);
}

}  // namespace assertion
