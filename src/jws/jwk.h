#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/certificate.h"
#include "assertion/error.h"
#include "assertion/public_key.h"

namespace assertion::jws {

// The members that make a public key (RFC 7638 section 3.2), with the names of RFC 7518 section 6 and RFC 8037
// section 2.
nlohmann::json RequiredMembers(const PublicKey& key);

// The JSON array x5c of a certificate chain (RFC 7515 section 4.1.6, RFC 7517 section 4.7).
nlohmann::ordered_json X5c(std::span<const Certificate> chain);

// The public JWK of a signing key (RFC 7517 section 4): kty, use, alg, kid, the key's numbers and, when `chain` is not
// empty, x5c and x5t#S256.
nlohmann::ordered_json Jwk(const PublicKey& key, const Algorithm& algorithm, std::span<const Certificate> chain);

// The public key of a JWK; refuses one with private members, and kinds of keys that this project does not sign with.
Result<PublicKey> ParseJwk(const nlohmann::json& jwk);

}  // namespace assertion::jws
