#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "assertion/certificate.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/public_key.h"

namespace assertion::x509 {

// Chains come from outside: every error here is INVALID_ARGUMENT and its message begins with "certificate: ". Where it
// counts certificates, the first is 1.

// Reads one DER certificate, or PEM (RFC 7468) with one or more, in the order of the text; text around the blocks is
// skipped. Refuses blocks of any other kind, a private key above all, the same certificate twice, more than 10
// certificates and more than 65536 octets.
Result<std::vector<Certificate>> ParseChain(std::string_view text);

// Checks that the first certificate is one for signatures of `key`, and that each of the others signed the one before
// it, as RFC 5280 section 6 has it: validity at `now` (both ends inclusive), basicConstraints and keyUsage, path
// length, name constraints, no unknown critical extension. Keys and signatures must reach 112 bits of security (no
// SHA-1, no RSA below 2048), save the signature of a self-signed root on itself. The last certificate need not be a
// root: the chain is verified up to what was given. Says nothing about trust, and nothing about revocation.
Status VerifyChain(std::span<const Certificate> chain, const PublicKey& key, Time now);

}  // namespace assertion::x509
