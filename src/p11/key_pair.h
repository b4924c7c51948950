#pragma once

#include <p11-kit/pkcs11.h>

#include <functional>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/hsm_settings.h"
#include "assertion/token.h"
#include "p11/custody.h"
#include "p11/session.h"

namespace assertion::p11 {

// Reads the custody attributes and the candidates for the public half into `key`, whose private_key is set. `halves`
// are the public key objects with its CKA_ID. An error is a flaw of the key (IsFlaw) or of the token.
Status ReadKeyPair(Session& session, const std::vector<CK_OBJECT_HANDLE>& halves, TokenKey& key);

// Makes a pair, without the attributes `left_out` in the private key's template. kTemplateRefused: one of the others
// may be the reason.
using MakePair = std::function<Status(const AttributeTypes& left_out)>;

// Makes a pair with full custody. Attributes that the token refuses to be asked for are found one at a time and left
// out; the essential ones never are. Returns what was left out, `known` included. Needs a session with CKF_RW_SESSION;
// the pair is found by its CKA_ID, also when this fails.
Result<AttributeTypes> NegotiateKeyPair(Session& session, BytesView id, const MakePair& make,
                                        const AttributeTypes& known);

// The same for a pair that the token generates.
Result<AttributeTypes> NegotiateKeyPair(Session& session, const NewKey& key, const AttributeTypes& known);

// A new key, and what its token does not take in a template.
struct Birth {
  TokenKey key;
  AttributeTypes left_out;
};

// Makes a pair by `negotiate`, reads it back and judges it. `accepted`: see HsmSettings; `imported`: see
// CheckCustodyAtBirth. Both halves are destroyed when the token did not make what was asked for, or when another key
// with this label went lost meanwhile. Needs a session with CKF_RW_SESSION. kAlreadyExists when the CKA_ID is taken.
// Handles are returned without an epoch.
Result<Birth> MakeTokenKey(Session& session, const NewKey& key,
                           const std::function<Result<AttributeTypes>()>& negotiate, const AttributeNames& accepted,
                           bool imported);

// The same for a pair that the token generates. `left_out`: what is known of the token from before.
Result<Birth> GenerateTokenKey(Session& session, const NewKey& key, const AttributeTypes& left_out,
                               const AttributeNames& accepted);

}  // namespace assertion::p11
