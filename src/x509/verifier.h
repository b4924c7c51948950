#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// An OpenSSL key object of a public key; null when it is none.
KeyPtr ToOpenSsl(const PublicKey& key);

// Checks signatures of one public key in software, away from the token. May be used from any thread.
class Verifier {
 public:
  // INVALID_ARGUMENT when the numbers make no key.
  static Result<Verifier> New(const PublicKey& key, const Algorithm& algorithm);

  bool Verify(std::string_view input, BytesView signature) const;

 private:
  struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  explicit Verifier(std::unique_ptr<EVP_MD_CTX, FreeContext> prepared) : prepared_(std::move(prepared)) {}

  // Ready for a message; never used itself, each Verify works on a copy.
  std::unique_ptr<EVP_MD_CTX, FreeContext> prepared_;
};

}  // namespace assertion::x509
