#pragma once

#include <openssl/crypto.h>

#include <memory>
#include <string>
#include <utility>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "x509/openssl.h"
#include "x509/verifier.h"

namespace assertion::x509 {

// OpenSSL with pkcs11-provider in a library context of its own: SoftHSM2 uses OpenSSL's default context, where a
// provider could call itself without end. Load a new one for each use: after a loss of the token the slots and handles
// that a provider remembers are void.
class Pkcs11Provider {
 public:
  // Never prompts for a PIN and never logs in: from the first call on OpenSSL's prompts fail in the whole process.
  // `init_args`: see HsmSettings.
  static Result<Pkcs11Provider> Load(const std::string& module_path, const std::string& init_args);

  // Signs with the private keys that the PKCS#11 URI matches, until the verifier accepts a signature: anyone may store
  // another key under the CKA_ID of ours, without a PIN. The signature has the form of X.509.
  Result<Bytes> Sign(const std::string& uri, const Algorithm& algorithm, BytesView octets,
                     const Verifier& verifier) const;

 private:
  using ContextPtr = std::unique_ptr<OSSL_LIB_CTX, Deleter<OSSL_LIB_CTX_free>>;

  explicit Pkcs11Provider(ContextPtr context) : context_(std::move(context)) {}

  Result<Bytes> SignWith(EVP_PKEY* key, const Algorithm& algorithm, BytesView octets) const;

  ContextPtr context_;
};

}  // namespace assertion::x509
