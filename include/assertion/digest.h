#pragma once

#include <cstddef>
#include <string_view>

namespace assertion {

// A hash function (FIPS 180-4), and the names and numbers that each library uses for it.
struct Digest {
  std::string_view name;  // as OpenSSL names it
  std::size_t octets;
  unsigned long pkcs11_mechanism;       // CKM_SHA…
  unsigned long pkcs11_mask_generator;  // CKG_MGF1_SHA…
  // The DER prefix of the digest in RSASSA-PKCS1-v1_5 (RFC 8017 section 9.2, note 1).
  std::string_view digest_info;
};

inline constexpr Digest kSha256 = {
    "SHA256", 32, 0x250, 2,
    std::string_view("\x30\x31\x30\x0D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20", 19)};
inline constexpr Digest kSha384 = {
    "SHA384", 48, 0x260, 3,
    std::string_view("\x30\x41\x30\x0D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30", 19)};
inline constexpr Digest kSha512 = {
    "SHA512", 64, 0x270, 4,
    std::string_view("\x30\x51\x30\x0D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40", 19)};

}  // namespace assertion
