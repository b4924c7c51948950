#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/certificate.h"
#include "assertion/clock.h"
#include "assertion/error.h"

namespace assertion::x509 {

struct SelfSignedRequest {
  std::string private_key_uri;  // RFC 7512, no PIN: this process has logged in already
  PublicKey public_key;
  const Algorithm* algorithm;
  std::string common_name;
  std::vector<std::string> subject_alt_names;  // as in CsrRequest
  Time not_before;
  Time not_after;
};

// What to ask a certification authority for. `subject` and `subject_alt_names` may come from outside as they are.
struct CsrRequest {
  std::string private_key_uri;  // RFC 7512, no PIN: this process has logged in already
  PublicKey public_key;
  const Algorithm* algorithm;
  std::string subject;                         // RFC 4514, at most 1024 octets; may be empty when there is another name
  std::vector<std::string> subject_alt_names;  // at most 100, each as ParseGeneralName reads it
};

struct NewCertificate {
  Certificate certificate;
  Bytes subject;  // DER of the name, for CKA_SUBJECT
};

// Makes certificates whose private key stays in the token: OpenSSL with pkcs11-provider in a library context of its
// own (SoftHSM uses OpenSSL's default context: a provider there could call itself without end), made anew for each:
// what a provider remembers of slots and handles is void once the token was away. The module must be initialised and
// logged in, and stay so for the length of a call (PrivateKeyReference::hold).
class Certifier {
 public:
  // `module_path` must be one that TokenUri accepted. `init_args`: see HsmSettings, without control characters.
  static Result<std::unique_ptr<Certifier>> New(const std::string& module_path, const std::string& init_args = {});

  // An end-entity certificate for digital signatures, signed by its own key and checked against `public_key`.
  Result<NewCertificate> SelfSign(const SelfSignedRequest& request) const;

  // A certification request (RFC 2986) in PEM (RFC 7468), signed by the key and checked against `public_key`. It asks
  // for keyUsage digitalSignature and the alternative names. INVALID_ARGUMENT names "subject" or
  // "subject_alt_names[i]" and says what to change.
  Result<std::string> CreateCsr(const CsrRequest& request) const;

 private:
  Certifier(std::string module_path, std::string init_args)
      : module_path_(std::move(module_path)), init_args_(std::move(init_args)) {}

  const std::string module_path_;
  const std::string init_args_;
};

}  // namespace assertion::x509
