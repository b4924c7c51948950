#pragma once

#include <p11-kit/pkcs11.h>

#include <vector>

#include "assertion/algorithm.h"
#include "assertion/custody_trial.h"
#include "assertion/error.h"
#include "p11/session.h"
#include "p11/throw_away_pair.h"

namespace assertion::p11 {

struct TriedUnwrap {
  std::vector<TriedWay> ways;
  std::vector<CK_OBJECT_HANDLE> made;  // session objects, for the caller to destroy
};

// Tries what PKCS#11 v2.40 section 5.13 closes for C_UnwrapKey. No key that `pair` protects comes out this way, because
// what cannot be wrapped cannot be unwrapped; two other promises rest on it:
// - a key with CKA_UNWRAP=false unwraps nothing, which would be a decryption by another name;
// - a key that was outside never shows CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE or CKA_LOCAL, whatever the template
//   asks for, and it shows and keeps the custody that the template asks for.
// The second is tried with a throw-away pair of the same type that may be wrapped, under an AES key of the session. A
// token that makes or wraps no such pair leaves nothing to try.
Result<TriedUnwrap> TryUnwrap(Session& session, const Algorithm& algorithm, const ThrowAwayPair& pair);

}  // namespace assertion::p11
