#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/key_record.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/client_keys.h"
#include "keys/signing_key.h"

// Checks that a key on the token is the one that the ledger names, and is fit to sign.
namespace assertion {

// For messages: client, kid and CKA_ID.
std::string KeyNameOf(std::string_view client_id, const KeyRecord& record);

// The attribute as the token shows it, for example "CKA_LOCAL is false".
std::string ShownText(const KeyAttribute& attribute);

// True if the error says that the token does not answer; any other error is a flaw of the one key.
bool IsTokenError(const Error& error);

// Null when the token holds no key pair with the record's CKA_ID and the client's label. An adopted key may have
// another label: some tokens do not change it, and the signed ledger vouches for CKA_ID and kid.
const TokenKey* FindKey(const TokenContents& contents, const std::string& client_id, const KeyRecord& record);

// The key of the record, once its attributes are fit and it has signed. A withdrawn key never signs again, so it is
// neither judged nor proven. `before` has the client's keys as they were known.
Result<ScheduledKey> AdmitKey(Token& token, const std::string& client_id, const KeyRecord& record, const TokenKey& key,
                              const TokenContents& contents, const ClientKeys& before, bool withdrawn,
                              const Random& random);

// The original, once this token's copy of it is fit and has signed.
Result<SigningKeyPtr> AdmitCopy(Token& token, const SigningKeyPtr& original, const KeyRecord& record,
                                const TokenKey& key, const Random& random);

}  // namespace assertion
