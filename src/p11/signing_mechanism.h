#pragma once

#include <p11-kit/pkcs11.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/error.h"
#include "p11/module.h"

namespace assertion::p11 {

// How a token signs with one algorithm: it hashes the message itself, or it gets a digest that we compute.
struct SigningMechanism {
  Mechanism mechanism;
  std::optional<CK_RSA_PKCS_PSS_PARAMS> parameters;
  const Digest* digest;          // computed by us; null: the token takes the message
  std::string_view digest_info;  // DER that precedes the digest (RFC 8017); empty: none

  // The length of the data to sign; 0: any. Checked before the call: SoftHSM2 signs an empty digest with CKM_ECDSA.
  std::size_t octets() const { return digest == nullptr ? 0 : digest_info.size() + digest->octets; }

  static SigningMechanism OfMessage(const Algorithm& algorithm);
  static SigningMechanism OfDigest(const Algorithm& algorithm);
};

// The mechanisms that a token offers for each algorithm. Copies share what was learnt from refusals.
class SigningMechanisms {
 public:
  // Asks the token for its list and for each mechanism's description: either alone may be wrong.
  static Result<SigningMechanisms> Read(const Module& module, CK_SLOT_ID slot);

  // Prefers the mechanism that takes the message, so that the token sees what it signs. Null: the token does not sign
  // with the algorithm.
  const SigningMechanism* Find(const Algorithm& algorithm) const;

  // The token refused the mechanism that Find returned, with CKR_MECHANISM_INVALID. Returns the one to use instead,
  // from now on also by Find. Null: there is no other.
  const SigningMechanism* FindAfterRefusal(const Algorithm& algorithm, const SigningMechanism& refused) const;

  // True: the token makes keys for the algorithm and signs with them.
  bool MakesKeysFor(const Algorithm& algorithm) const;

  // The names of the algorithms that it makes keys for, as a list for messages.
  std::string Names() const;

 private:
  struct Offer {
    std::optional<SigningMechanism> of_message;
    std::optional<SigningMechanism> of_digest;
    bool generates = false;
  };
  using Refusals = std::array<std::atomic<bool>, kAlgorithms.size()>;

  static std::size_t IndexOf(const Algorithm& algorithm) {
    return static_cast<std::size_t>(&algorithm - kAlgorithms.data());
  }

  std::array<Offer, kAlgorithms.size()> offers_;
  std::shared_ptr<Refusals> refused_ = std::make_shared<Refusals>();  // mechanisms of a message, although listed
};

}  // namespace assertion::p11
