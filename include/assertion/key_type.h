#pragma once

#include <string_view>

namespace assertion {

// A key type, and its numbers in PKCS#11 (v2.40 and v3.0).
struct KeyType {
  std::string_view name;                 // the JWK "kty"
  unsigned long pkcs11_key_type;         // CKA_KEY_TYPE
  unsigned long pkcs11_pair_generation;  // the mechanism that generates a pair
};

inline constexpr KeyType kRsa = {"RSA", 0x00, 0x00};    // CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN
inline constexpr KeyType kEc = {"EC", 0x03, 0x1040};    // CKK_EC, CKM_EC_KEY_PAIR_GEN
inline constexpr KeyType kOkp = {"OKP", 0x40, 0x1055};  // CKK_EC_EDWARDS, CKM_EC_EDWARDS_KEY_PAIR_GEN

}  // namespace assertion
