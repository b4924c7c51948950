#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/digest.h"
#include "assertion/error.h"

namespace assertion::p11 {

// Computes digests in software for tokens that do not hash. Reuses the OpenSSL objects of the last digest. Belongs to
// one thread.
class Hasher {
 public:
  // Returns `prefix` followed by the digest of `message`, valid until the next call.
  Result<BytesView> Hash(const Digest& digest, std::string_view prefix, std::string_view message);

 private:
  struct Free {
    void operator()(EVP_MD* method) const { EVP_MD_free(method); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  static constexpr std::size_t kLongestPrefix = 19;

  const Digest* digest_ = nullptr;  // the one that method_ computes
  std::unique_ptr<EVP_MD, Free> method_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
  std::array<std::uint8_t, kLongestPrefix + EVP_MAX_MD_SIZE> octets_;
};

}  // namespace assertion::p11
