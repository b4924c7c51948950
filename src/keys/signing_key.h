#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/certificate.h"
#include "assertion/key_record.h"
#include "assertion/token.h"
#include "keys/key_under_profile.h"
#include "x509/verifier.h"

namespace assertion {

// A client's key that has been read from the token, found fit, and proven by a signature.
struct SigningKey {
  std::string client_id;
  const Algorithm* algorithm;
  Bytes id;  // CKA_ID
  PublicKey public_key;
  std::string kid;
  std::vector<Certificate> chain;  // leaf first; empty when the ledger names none
  x509::Verifier verifier;
  KeyOrigin origin = KeyOrigin::kGenerated;
  KeptKeyUnderProfile under_profile = {};
  std::chrono::steady_clock::duration first_signature{};  // how long the proof took, on a session that searched for it

  int bits() const { return KeyBits(public_key); }
};

using SigningKeyPtr = std::shared_ptr<const SigningKey>;

}  // namespace assertion
