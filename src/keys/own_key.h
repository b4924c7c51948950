#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"

namespace assertion {

// Keys of assertiond itself, by their CKA_LABEL: they are no client's, so no ledger schedules them. Like a client's
// they are made in the token and cannot leave it.

// Those fit to sign that made a signature which their public key verifies, by CKA_ID: all servers of a token see them
// in one order.
Result<std::vector<TokenKey>> FindOwnKeys(Token& token, std::string_view label);

// The first of them; makes one when there is none.
Result<TokenKey> FindOrGenerateOwnKey(Token& token, std::string_view label, const Random& random);

// The server's TLS key for the first certificate of the chain (PEM, leaf first), which must be RSA. kTlsUnusable says
// what is wrong with the chain, or that the token holds no such key.
Result<TokenKey> FindTlsKey(Token& token, const std::string& chain);

Result<TokenKey> GenerateOwnKey(Token& token, std::string_view label, const Random& random);

}  // namespace assertion
