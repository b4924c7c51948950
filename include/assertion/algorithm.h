#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace assertion {

enum class KeyType { kRsa };
enum class Padding { kPkcs1 };

// A JWS signature algorithm (RFC 7518 section 3.1) and what each library needs to know about it.
struct Algorithm {
  std::string_view name;           // the JWS "alg" value
  KeyType key_type;                // the JWK "kty"
  Padding padding;                 // of an RSA signature (RFC 8017)
  std::string_view digest;         // OpenSSL's name
  unsigned long pkcs11_mechanism;  // the mechanism that hashes and signs (PKCS#11 v2.40)
  std::string_view pkcs11_mechanism_name;
  int default_key_bits;  // of a new key
};

inline constexpr std::array kAlgorithms = {
    Algorithm{.name = "RS256",
              .key_type = KeyType::kRsa,
              .padding = Padding::kPkcs1,
              .digest = "SHA256",
              .pkcs11_mechanism = 0x40,
              .pkcs11_mechanism_name = "CKM_SHA256_RSA_PKCS",
              .default_key_bits = 2048},
};

// Null when the project does not offer it.
constexpr const Algorithm* FindAlgorithm(std::string_view name) {
  const auto* found = std::ranges::find(kAlgorithms, name, &Algorithm::name);
  return found == kAlgorithms.end() ? nullptr : found;
}

}  // namespace assertion
