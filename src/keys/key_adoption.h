#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/clients.h"
#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/ledger.h"

namespace assertion {

// Adoption: an operator puts a key pair that other means made on the token into a client's ledger.

// The longest CKA_ID that can be adopted, in octets: a SHA-256. Longer ones would make ledgers too large (see ToJson).
inline constexpr std::size_t kLongestAdoptedId = 32;

struct AdoptionQuestion {
  std::string client_id;
  Bytes id;  // CKA_ID
  const Algorithm* algorithm;
};

// A key pair on the token, and whether the client can adopt it.
struct AdoptionCandidate {
  std::string label;  // CKA_LABEL
  Bytes id;           // CKA_ID
  std::vector<KeyAttribute> attributes;
  std::optional<PublicKey> public_key;  // verified a signature of the key; unset: an obstacle kept it from signing
  std::string kid;                      // of the public key; empty without one
  std::vector<std::string> obstacles;   // why the client cannot adopt it; empty: it can
};

// Judges the key pair as every key of a ledger is judged and, beyond that, requires a key that only signs, a size that
// GenerateKey makes, and a key that neither a ledger nor assertiond itself uses. The key signs a proof once nothing
// else speaks against it: the public half that verifies it is its own, whatever lies beside it under its CKA_ID.
// `clients`: all that are configured. NOT_FOUND: the token holds no private key with this CKA_ID. FAILED_PRECONDITION:
// only one that was made without the PIN.
Result<AdoptionCandidate> ExamineKey(Token& token, Ledger& ledger, const Clients& clients,
                                     const AdoptionQuestion& question, const Random& random);

// The least public exponent of an RSA key that assertiond did not make (FIPS 186-5 section 5.1): with the exponent 1
// anybody makes signatures.
inline constexpr int kLeastExponent = 65537;

// True unless the key is an RSA key whose public exponent is even, less than kLeastExponent, or 2^256 and more.
bool HasSafeExponent(const PublicKey& key);

// FAILED_PRECONDITION names every obstacle, or the key that was found in place of `kid`.
Status CheckAdoptable(const AdoptionCandidate& candidate, const std::string& kid);

}  // namespace assertion
