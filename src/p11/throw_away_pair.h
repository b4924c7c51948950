#pragma once

#include <p11-kit/pkcs11.h>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "p11/custody.h"
#include "p11/session.h"

namespace assertion::p11 {

// A key pair for trials, made as a client's is: label kTrialKeyLabel, a random CKA_ID. The sessions that it is given
// need CKF_RW_SESSION.
struct ThrowAwayPair {
  Bytes id;  // CKA_ID
  CK_OBJECT_HANDLE private_key;
  CK_OBJECT_HANDLE public_key;
  AttributeTypes left_out;  // what the token does not take in a template; see NegotiateKeyPair

  // Nothing stays on the token when it fails.
  static Result<ThrowAwayPair> Make(Session& session, const Algorithm& algorithm, const AttributeTypes& known);

  // An error: the token does not show the private key any more.
  Status Check(Session& session) const;

  // Destroys what shows the pair's CKA_ID and label.
  Status Destroy(Session& session) const;

  // Destroys an object that a trial of the pair made. Does nothing if the token shows another object under its handle.
  // An error also if the object turned out to be a token object that is not the pair's.
  Status DestroyMade(Session& session, CK_OBJECT_HANDLE made) const;
};

}  // namespace assertion::p11
