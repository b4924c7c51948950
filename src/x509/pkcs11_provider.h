#pragma once

#include <openssl/crypto.h>

#include <cstddef>
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
// provider could call itself without end. Belongs to one thread at a time.
//
// It keeps sessions: one with the login and one that signs. Where it ends alone what it began, they end with it.
// Elsewhere only C_Finalize ends them, so keep one provider and use it again. A reload of the module, or a loss of the
// token, makes the slots and sessions that a provider remembers void: load another then.
class Pkcs11Provider {
 public:
  static constexpr std::size_t kSessions = 2;

  // Never prompts for a PIN and never logs in: from the first call on OpenSSL's prompts fail in the whole process.
  // `init_args`: see HsmSettings.
  static Result<Pkcs11Provider> Load(const std::string& module_path, const std::string& init_args);

  // Signs with the private keys that the PKCS#11 URI matches, until the verifier accepts a signature: anyone may store
  // another key under the CKA_ID of ours, without a PIN. The signature has the form of X.509.
  Result<Bytes> Sign(const std::string& uri, const Algorithm& algorithm, BytesView octets,
                     const Verifier& verifier) const;

  // True: its sessions end with this object.
  bool closes_its_sessions() const { return closes_its_sessions_; }

 private:
  using ContextPtr = std::unique_ptr<OSSL_LIB_CTX, Deleter<OSSL_LIB_CTX_free>>;

  Pkcs11Provider(ContextPtr context, bool closes_its_sessions)
      : context_(std::move(context)), closes_its_sessions_(closes_its_sessions) {}

  Result<Bytes> SignWith(EVP_PKEY* key, const Algorithm& algorithm, BytesView octets) const;

  ContextPtr context_;
  bool closes_its_sessions_;
};

}  // namespace assertion::x509
