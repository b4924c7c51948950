#pragma once

#include <p11-kit/pkcs11.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/error.h"
#include "p11/module.h"

namespace assertion::p11 {

// How a token signs with one algorithm: as it hashes itself, or with a digest that is made here.
struct SigningMechanism {
  Mechanism mechanism;
  std::optional<CK_RSA_PKCS_PSS_PARAMS> parameters;
  const Digest* digest;          // to be made here; null: the token takes the message
  std::string_view digest_info;  // to be put before the digest

  // Of what it signs; 0: any. With another length it is not asked: SoftHSM2 signs an empty digest with CKM_ECDSA.
  std::size_t octets() const { return digest == nullptr ? 0 : digest_info.size() + digest->octets; }

  static SigningMechanism OfMessage(const Algorithm& algorithm);
  static SigningMechanism OfDigest(const Algorithm& algorithm);
};

// What a token offers for each algorithm.
class SigningMechanisms {
 public:
  // Asks the token. Where it offers both, it gets the message: it is to see what it signs.
  static Result<SigningMechanisms> Read(const Module& module, CK_SLOT_ID slot);

  // Null: it does not sign with the algorithm.
  const SigningMechanism* Find(const Algorithm& algorithm) const;

  // Whether it makes keys for the algorithm and signs with them.
  bool MakesKeysFor(const Algorithm& algorithm) const;

  // Of those that it makes keys for, as a list for a person.
  std::string Names() const;

 private:
  struct Offer {
    std::optional<SigningMechanism> signing;
    bool generates = false;
  };

  const Offer& OfferFor(const Algorithm& algorithm) const {
    return offers_.at(static_cast<std::size_t>(&algorithm - kAlgorithms.data()));
  }

  std::array<Offer, kAlgorithms.size()> offers_;
};

}  // namespace assertion::p11
