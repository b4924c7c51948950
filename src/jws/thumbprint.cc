#include "jws/thumbprint.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>

#include "jws/base64url.h"
#include "jws/jwk.h"

namespace assertion::jws {

namespace {

std::array<std::uint8_t, SHA256_DIGEST_LENGTH> Sha256(BytesView bytes) {
  // Fetched once: OpenSSL's one-shot call looks the algorithm up each time, under a lock that all threads share.
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, kSha256, nullptr);
  return digest;
}

}  // namespace

std::string Sha256Thumbprint(BytesView bytes) { return Base64UrlEncode(Sha256(bytes)); }

std::string Sha1Thumbprint(BytesView bytes) {
  std::array<std::uint8_t, SHA_DIGEST_LENGTH> digest{};
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha1(), nullptr);
  return Base64UrlEncode(digest);
}

std::string Sha256Fingerprint(BytesView bytes) { return Base64Encode(Sha256(bytes)); }

std::string Sha256Hex(BytesView bytes) { return Hex(Sha256(bytes)); }

std::string JwkThumbprint(const PublicKey& key) {
  // RFC 7638 section 3: the required members only, in lexicographic order, without white space; so nlohmann::json
  // writes.
  return Sha256Thumbprint(AsBytes(RequiredMembers(key).dump()));
}

}  // namespace assertion::jws
