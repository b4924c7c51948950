#pragma once

#include <string>
#include <utility>

#include "assertion/approved_claims.h"
#include "assertion/error.h"

namespace assertion {

struct SigningKey;

namespace service {
class TlsKey;
}

// The text that a key signs. A std::string is not one: only the owners named below make it, each from text that it has
// vetted or composed itself, so the queue cannot be asked to sign anything else. A copy is as vetted as the original.
class SigningInput {
 public:
  const std::string& text() const { return text_; }
  std::string TakeText() && { return std::move(text_); }

 private:
  friend Result<SigningInput> AssertionInput(const SigningKey& key, const ApprovedClaims& claims);
  friend class KeyRing;          // a proof that a key signs: random octets
  friend class JwsKey;           // a checkpoint of the audit log
  friend class service::TlsKey;  // the transcript of a TLS handshake
  friend class TestInput;        // any text, for tests
  explicit SigningInput(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

// JWS Signing Input (RFC 7515 section 5.1) of an assertion, DPoP proof or request object. FAILED_PRECONDITION: the
// client's profile asks for something that the key does not have, for example a certificate.
Result<SigningInput> AssertionInput(const SigningKey& key, const ApprovedClaims& claims);

}  // namespace assertion
