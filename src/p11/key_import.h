#pragma once

#include "assertion/error.h"
#include "assertion/hsm_settings.h"
#include "assertion/private_key.h"
#include "assertion/token.h"
#include "p11/key_pair.h"
#include "p11/session.h"

namespace assertion::p11 {

// Puts a private key and its public half on the token, with the custody of a key that the token generates. The key goes
// in by C_UnwrapKey under a throw-away AES key, which goes in under a throw-away RSA pair of the session: so no module
// sees it in plain text, and HSMs take it that refuse C_CreateObject. Where the token does not offer that, or unwraps
// it without the custody that was asked for, by C_CreateObject. Errors and what they leave behind: see MakeTokenKey.
// The throw-away keys end with the session.
Result<Birth> ImportTokenKey(Session& session, const NewKey& key, const PrivateKey& private_key,
                             const AttributeNames& accepted);

}  // namespace assertion::p11
