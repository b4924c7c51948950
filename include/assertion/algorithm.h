#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "assertion/curve.h"
#include "assertion/digest.h"
#include "assertion/key_type.h"

namespace assertion {

// The padding of an RSA signature (RFC 8017). PSS has a salt as long as the digest (RFC 7518 section 3.5).
enum class Padding { kNone, kPkcs1, kPss };

// A PKCS#11 mechanism that signs.
struct Mechanism {
  unsigned long type;
  std::string_view name;
};

// A JWS signature algorithm (RFC 7518 section 3.1, RFC 8037), and the names and numbers that each library uses for it.
struct Algorithm {
  std::string_view name;  // the JWS "alg" value
  const Curve* curve;     // null: RSA
  const Digest* digest;   // null: the algorithm takes the message itself
  Padding padding;
  Mechanism of_message;  // hashes the message itself, or needs no digest
  Mechanism of_digest;   // for tokens that do not hash; an empty name: none

  const KeyType& key_type() const { return curve == nullptr ? kRsa : *curve->key_type; }
  int default_key_bits() const { return curve == nullptr ? 2048 : curve->bits; }
  bool TakesKeyBits(int bits) const {
    return curve == nullptr ? bits == 2048 || bits == 3072 || bits == 4096 : bits == curve->bits;
  }
};

inline constexpr Mechanism kRsaPkcs = {0x01, "CKM_RSA_PKCS"};
inline constexpr Mechanism kRsaPkcsPss = {0x0D, "CKM_RSA_PKCS_PSS"};
inline constexpr Mechanism kEcdsa = {0x1041, "CKM_ECDSA"};

// The default first.
inline constexpr std::array kAlgorithms = {
    Algorithm{"RS256", nullptr, &kSha256, Padding::kPkcs1, {0x40, "CKM_SHA256_RSA_PKCS"}, kRsaPkcs},
    Algorithm{"RS384", nullptr, &kSha384, Padding::kPkcs1, {0x41, "CKM_SHA384_RSA_PKCS"}, kRsaPkcs},
    Algorithm{"RS512", nullptr, &kSha512, Padding::kPkcs1, {0x42, "CKM_SHA512_RSA_PKCS"}, kRsaPkcs},
    Algorithm{"PS256", nullptr, &kSha256, Padding::kPss, {0x43, "CKM_SHA256_RSA_PKCS_PSS"}, kRsaPkcsPss},
    Algorithm{"PS384", nullptr, &kSha384, Padding::kPss, {0x44, "CKM_SHA384_RSA_PKCS_PSS"}, kRsaPkcsPss},
    Algorithm{"PS512", nullptr, &kSha512, Padding::kPss, {0x45, "CKM_SHA512_RSA_PKCS_PSS"}, kRsaPkcsPss},
    Algorithm{"ES256", kCurves.data(), &kSha256, Padding::kNone, {0x1044, "CKM_ECDSA_SHA256"}, kEcdsa},
    Algorithm{"ES384", &kCurves[1], &kSha384, Padding::kNone, {0x1045, "CKM_ECDSA_SHA384"}, kEcdsa},
    Algorithm{"ES512", &kCurves[2], &kSha512, Padding::kNone, {0x1046, "CKM_ECDSA_SHA512"}, kEcdsa},
    Algorithm{"EdDSA", &kCurves[3], nullptr, Padding::kNone, {0x1057, "CKM_EDDSA"}, {}},
};

// Null when assertiond does not offer the algorithm.
constexpr const Algorithm* FindAlgorithm(std::string_view name) {
  const auto* found = std::ranges::find(kAlgorithms, name, &Algorithm::name);
  return found == kAlgorithms.end() ? nullptr : found;
}

// The names of the algorithms for which `wanted` returns true, separated by commas.
template <typename Wanted>
std::string AlgorithmNames(const Wanted& wanted) {
  std::string names;
  for (const auto& algorithm : kAlgorithms) {
    if (wanted(algorithm)) {
      names += (names.empty() ? "" : ", ") + std::string(algorithm.name);
    }
  }
  return names;
}

inline std::string AlgorithmNames() {
  return AlgorithmNames([](const Algorithm&) { return true; });
}

}  // namespace assertion
