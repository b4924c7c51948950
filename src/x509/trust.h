#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// The authorities whose certificates are believed, and what they have revoked. Immutable; may be used from any thread.
class Trust {
 public:
  // `authorities`: certificates in PEM, those of the authorities that issue to peers. `crl_directory`: every file in it
  // is a CRL (RFC 5280 section 5), PEM or DER; "" when revocation is not looked at. INVALID_ARGUMENT names the file.
  static Result<Trust> Load(std::string_view authorities, const std::string& crl_directory);

  // Whether a TLS client's certificate, PEM, is valid now and not revoked. With a CRL directory an authority without a
  // CRL, or whose CRL is out of date, vouches for nobody. UNAUTHENTICATED says why not.
  Status Verify(std::string_view certificate) const;

 private:
  using StorePtr = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;

  explicit Trust(StorePtr store) : store_(std::move(store)) {}

  StorePtr store_;
};

}  // namespace assertion::x509
