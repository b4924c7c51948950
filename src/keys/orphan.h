#pragma once

#include <string>
#include <vector>

#include "assertion/token.h"
#include "keys/ledger.h"

namespace assertion {

// An object on the token that carries a client's label but stands in no ledger: what a crash left, or what somebody
// made by other means. It is never used.
struct Orphan {
  enum class Kind { kKeyPair, kPublicKey, kCertificate };

  Kind kind;
  std::string client_id;
  Bytes id;             // CKA_ID
  ObjectHandle handle;  // the private key's of a pair

  // For a person, for example "key pair with CKA_ID 0a1b…".
  std::string ToString() const;
};

std::vector<Orphan> FindOrphans(const TokenContents& contents, const Ledgers& ledgers);

// Destroys the client's orphans and answers what they were. Holds the client meanwhile: a key in the making looks like
// an orphan.
Result<std::vector<Orphan>> RemoveOrphans(Token& token, Ledger& ledger, const std::string& client_id);

}  // namespace assertion
