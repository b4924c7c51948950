#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/public_key.h"
#include "jws/compact.h"

namespace assertion::cli {

// The public key of a PEM certificate, or of the JWK in a JWK Set that has the header's kid. INVALID_ARGUMENT.
// NOT_FOUND: no JWK has it.
Result<PublicKey> KeyFromCertificate(std::string_view pem);
Result<PublicKey> KeyFromJwks(std::string_view jwks, const nlohmann::ordered_json& header);

// Verifies the signature with the algorithm that the header names, which must be one of kAlgorithms. INVALID_ARGUMENT.
Status VerifySignature(const jws::Unverified& assertion, const PublicKey& key);

// True if exp has come (RFC 7519 section 4.1.4: "on or after which").
bool IsExpired(const jws::Unverified& assertion, Time now);

// Header and claims for a person. iat and exp also in words.
std::string Describe(const jws::Unverified& assertion, Time now);

}  // namespace assertion::cli
