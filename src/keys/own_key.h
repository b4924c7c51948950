#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "assertion/public_key.h"
#include "assertion/random.h"
#include "assertion/token.h"

namespace assertion {

// Keys of assertiond itself, by their CKA_LABEL: they are no client's, so no ledger schedules them. Like a client's
// they are made in the token and cannot leave it.

// All private keys of the label, by CKA_ID: all servers of a token see them in one order. Private keys with CKA_PRIVATE
// false do not count: anybody can make them. kKeyUnproven: one of the keys does not show what custody asks for, or did
// not make a signature that its public key verifies. It is looked at again for a moment before that: another server may
// be making it.
Result<std::vector<TokenKey>> FindOwnKeys(Token& token, std::string_view label);

// The same; makes a key when there is none, and never beside one. Servers that start for the first time at the same
// moment may make one each: all of them are the label's keys then.
Result<std::vector<TokenKey>> FindOrGenerateOwnKeys(Token& token, std::string_view label, const Random& random);

// The first of these.
Result<TokenKey> FindOrGenerateOwnKey(Token& token, std::string_view label, const Random& random);

// The TLS keys that prove themselves, by CKA_ID. Others are left out: `assertionctl tls generate` replaces them.
Result<std::vector<TokenKey>> FindTlsKeys(Token& token);

// The public key of the first certificate of the chain (PEM, leaf first). kTlsUnusable: there is none, or it is not
// RSA.
Result<PublicKey> TlsPublicKey(const std::string& chain);

// The server's TLS key for the chain, as TlsPublicKey reads it. kTlsUnusable also when the token holds no such key.
Result<TokenKey> FindTlsKey(Token& token, const std::string& chain);

Result<TokenKey> GenerateOwnKey(Token& token, std::string_view label, const Random& random);

}  // namespace assertion
