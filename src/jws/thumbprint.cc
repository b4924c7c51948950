#include "jws/thumbprint.h"

#include <openssl/sha.h>

#include <array>

#include "jws/base64url.h"
#include "jws/jwk.h"

namespace assertion::jws {

std::string Sha256Thumbprint(BytesView bytes) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(bytes.data(), bytes.size(), digest.data());
  return Base64UrlEncode(digest);
}

std::string JwkThumbprint(const PublicKey& key) {
  // RFC 7638 section 3: the required members only, in lexicographic order, without white space; so nlohmann::json
  // writes.
  return Sha256Thumbprint(AsBytes(RequiredMembers(key).dump()));
}

}  // namespace assertion::jws
