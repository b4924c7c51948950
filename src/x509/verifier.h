#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "x509/openssl.h"
#include "x509/p256_multiples.h"

namespace assertion::x509 {

// An OpenSSL key object of a public key; null when it is none.
KeyPtr ToOpenSsl(const PublicKey& key);

// The DER of the key's SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7); empty when it is no key.
Bytes SubjectPublicKeyInfo(const PublicKey& key);

// Sets the parameters that the algorithm needs besides its digest, to sign or to verify.
bool Prepare(EVP_PKEY_CTX* context, const Algorithm& algorithm);

// Converts a signature of JWS (RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1) to the form of X.509, in which ECDSA
// has a SEQUENCE of its two numbers (RFC 3279 section 2.2.3). Empty when it has a wrong length.
Bytes ToX509Signature(const Algorithm& algorithm, BytesView signature);

// Checks signatures of one public key in software, away from the token. May be used from any thread.
class Verifier {
 public:
  // INVALID_ARGUMENT when the numbers make no key, or one that the algorithm does not sign with.
  static Result<Verifier> New(const PublicKey& key, const Algorithm& algorithm);

  // `signature` has the form of JWS.
  bool Verify(std::string_view input, BytesView signature) const;

  // `signature` has the form of X.509.
  bool VerifyX509(BytesView input, BytesView signature) const;

 private:
  struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  Verifier(const Algorithm& algorithm, std::unique_ptr<EVP_MD_CTX, FreeContext> prepared,
           std::unique_ptr<P256Multiples> multiples)
      : algorithm_(&algorithm), prepared_(std::move(prepared)), multiples_(std::move(multiples)) {}

  const Algorithm* algorithm_;
  // Ready for a message; never used itself, each Verify works on a copy.
  std::unique_ptr<EVP_MD_CTX, FreeContext> prepared_;
  std::unique_ptr<P256Multiples> multiples_;  // null: another algorithm than ES256
};

}  // namespace assertion::x509
