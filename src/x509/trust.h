#pragma once

#include <openssl/types.h>

#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// The authorities whose certificates are believed, and what they have revoked. Immutable; may be used from any thread.
class Trust {
 public:
  // `authorities`: certificates in PEM, those of the authorities that issue to peers, and best those above them.
  // `crl_directory`: every file in it is a CRL (RFC 5280 section 5), PEM or DER; "" when revocation is not looked at.
  // INVALID_ARGUMENT names the file.
  static Result<Trust> Load(std::string_view authorities, const std::string& crl_directory);

  // The same authorities, of which none vouches for anybody: every Verify fails with `reason`.
  static Trust Nobody(std::string reason);

  // Whether a TLS client's certificate, PEM, is valid now and not revoked, and each authority above it likewise, up to
  // one whose issuer is not among the authorities. With a CRL directory an authority without a CRL, or whose CRL is out
  // of date, vouches for nobody. UNAUTHENTICATED says why not. Returns until when this holds, if the authorities and
  // CRLs stay as they are: the first time at which a certificate of the chain or a CRL expires.
  Result<std::time_t> Verify(std::string_view certificate) const;

  // When the first authority expires.
  std::time_t authorities_until() const { return authorities_until_; }

  // When the first authority's CRL ends to be current, by the latest CRL of each. Unset: there is no CRL.
  std::optional<std::time_t> crls_until() const;

  // True if both were loaded from the same text.
  bool SameAs(const Trust& other) const { return text_ == other.text_; }

 private:
  using StorePtr = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;

  explicit Trust(StorePtr store) : store_(std::move(store)) {}

  StorePtr store_;                       // null: nobody
  std::string reason_;                   // then
  std::string text_;                     // a digest of what it was loaded from
  std::vector<std::time_t> boundaries_;  // of the CRLs' validity, sorted
  std::time_t authorities_until_ = 0;
  std::map<std::string, std::time_t> crls_until_;  // by the issuer's name, DER
};

}  // namespace assertion::x509
