#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/certificate.h"
#include "assertion/error.h"
#include "assertion/public_key.h"

namespace assertion::jws {

// The public JWK of a signing key (RFC 7517 section 4, RFC 7518 section 6.3.1): kty, use, alg, kid, n, e and, when
// `chain` is not empty, x5c and x5t#S256.
nlohmann::ordered_json Jwk(const PublicKey& key, const Algorithm& algorithm, std::span<const Certificate> chain);

// The public key of an RSA JWK; refuses one with private members.
Result<PublicKey> ParseJwk(const nlohmann::json& jwk);

}  // namespace assertion::jws
