#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/token.h"
#include "keys/ledger.h"

namespace assertion {

// An object on the token under a name of ours that is nothing to us: what a crash left, what was made by other means,
// or what an attacker put there. Objects that are not private take no PIN to make. A stray is never used.
struct Stray {
  enum class Kind {
    kKeyPair,       // in no ledger
    kPublicKey,     // not the public half of a key that is in use, or another copy of it
    kCertificate,   // in no ledger
    kUnguardedKey,  // a private key that is of use without a login (CKA_PRIVATE is not true)
    kPublicData     // a ledger, pending change or claim that is not private
  };

  Kind kind;
  std::string label;        // CKA_LABEL; often the client's id
  Bytes id;                 // CKA_ID; of data none
  ObjectHandle handle;      // the private key's of a pair
  std::string application;  // CKA_APPLICATION, of data alone

  // For a person, for example "key pair with CKA_ID 0a1b…".
  std::string ToString() const;
  // The label, cut and without what could steer a terminal: anybody may have written it.
  std::string ShownLabel() const;
  // Its meaning for assertiond, and its possible origin.
  const char* Meaning() const;

  friend bool operator==(const Stray&, const Stray&) = default;
};

// CKA_APPLICATION of what is assertiond's: public data under one of these is a stray.
inline constexpr std::array<std::string_view, 3> kStrayApplications = {"assertiond ledger", "assertiond pending",
                                                                       "assertiond claim"};

// Those of these clients and of assertiond's own names. `ledgers`: of these clients at least, and of others that may
// have adopted a key with the label of one of these.
Result<std::vector<Stray>> FindStrays(Token& token, const std::vector<std::string>& client_ids, const Ledgers& ledgers);

// Destroys the client's strays, and those that no PIN protects under names that are no client's; answers what they
// were. Holds the client meanwhile: a key in the making looks like a stray.
Result<std::vector<Stray>> RemoveStrays(Token& token, Ledger& ledger, const std::string& client_id);

}  // namespace assertion
