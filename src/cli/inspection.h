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

// The key that an assertion is to be verified with: a PEM certificate's, or the one of a JWK Set that has the kid.
Result<PublicKey> KeyFromCertificate(std::string_view pem);
Result<PublicKey> KeyFromJwks(std::string_view jwks, const nlohmann::ordered_json& header);

// Whether the signature is that key's, with the algorithm that the header names (one that this project offers).
Status VerifySignature(const jws::Unverified& assertion, const PublicKey& key);

// Header and claims for a person, times also in words.
std::string Describe(const jws::Unverified& assertion, Time now);

}  // namespace assertion::cli
