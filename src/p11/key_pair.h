#pragma once

#include <p11-kit/pkcs11.h>

#include <vector>

#include "assertion/error.h"
#include "assertion/token.h"
#include "p11/session.h"

namespace assertion::p11 {

// Reads the custody attributes and the candidates for the public half into `key`, whose private_key is set. `halves`
// are the public key objects with its CKA_ID. An error is a flaw of the key (IsFlaw) or of the token.
Status ReadKeyPair(Session& session, const std::vector<CK_OBJECT_HANDLE>& halves, TokenKey& key);

// Birth of a key: asks the token for a pair with full custody, reads it back and judges it. Both halves are destroyed
// when the token did not make what was asked for. Needs a session with CKF_RW_SESSION. kAlreadyExists when the CKA_ID
// is taken. Handles are returned without an epoch.
Result<TokenKey> GenerateTokenKey(Session& session, const NewKey& key);

}  // namespace assertion::p11
