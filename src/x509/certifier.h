#pragma once

#include <openssl/x509.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/certificate.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/public_key.h"
#include "assertion/token.h"
#include "x509/pkcs11_provider.h"
#include "x509/verifier.h"

namespace assertion::x509 {

// A key pair on a token.
struct CertifiedKey {
  Token* token;
  Bytes id;  // CKA_ID
  PublicKey public_key;
  const Algorithm* algorithm;
};

struct SelfSignedRequest {
  CertifiedKey key;
  std::string common_name;
  std::vector<std::string> subject_alt_names;  // as in CsrRequest
  Time not_before;
  Time not_after;
};

// `subject` and `subject_alt_names` may be a caller's input as it is.
struct CsrRequest {
  CertifiedKey key;
  std::string subject;                         // RFC 4514, at most 1024 octets; may be empty when there is another name
  std::vector<std::string> subject_alt_names;  // at most 100, each as ParseGeneralName reads it
};

struct NewCertificate {
  Certificate certificate;
  Bytes subject;  // DER of the name, for CKA_SUBJECT
};

// Makes certificates and certification requests for keys that stay in a token. OpenSSL builds what is to be signed, and
// the token signs it: through pkcs11-provider or, where that cannot sign or signs wrongly, through our own logged-in
// session. Every signature is checked with the public key. All methods may be called from any thread.
class Certifier {
 public:
  // `module_path` must be one that TokenUri accepted. It is that of the requests' tokens. `init_args`: see HsmSettings,
  // without control characters.
  static Result<std::unique_ptr<Certifier>> New(const std::string& module_path, const std::string& init_args = {});

  // An end-entity certificate for digital signatures.
  Result<NewCertificate> SelfSign(const SelfSignedRequest& request) const;

  // A certification request (RFC 2986) in PEM (RFC 7468), with keyUsage digitalSignature and the alternative names.
  // INVALID_ARGUMENT names "subject" or "subject_alt_names[i]" and says what to change.
  Result<std::string> CreateCsr(const CsrRequest& request) const;

  // Makes a signature through pkcs11-provider and checks it.
  Status TryProvider(const CertifiedKey& key) const;

 private:
  Certifier(std::string module_path, std::string init_args)
      : module_path_(std::move(module_path)), init_args_(std::move(init_args)) {}

  // These return signatures in the form of X.509.
  Result<Bytes> Sign(const CertifiedKey& key, BytesView octets) const;
  Result<Bytes> SignThroughProvider(const CertifiedKey& key, BytesView octets, const Verifier& verifier) const;
  Result<Bytes> SignThroughKeptProvider(const CertifiedKey& key, BytesView octets, const Verifier& verifier) const
      REQUIRES(provider_mutex_);

  // The DER of a certificate or certification request with this part to be signed.
  Result<Bytes> SignStructure(const CertifiedKey& key, BytesView to_be_signed, const X509_ALGOR* algorithm) const;

  const std::string module_path_;
  const std::string init_args_;

  struct KeptProvider {
    Pkcs11Provider provider;
    unsigned epoch;       // of the token
    unsigned generation;  // of its module
  };
  mutable Mutex provider_mutex_;
  mutable std::optional<KeptProvider> provider_ GUARDED_BY(provider_mutex_);
};

}  // namespace assertion::x509
