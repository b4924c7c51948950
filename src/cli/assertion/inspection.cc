#include "cli/assertion/inspection.h"

#include "cli/text.h"
#include "jws/foreign_json.h"
#include "jws/jwk.h"
#include "jws/object_text.h"
#include "jws/thumbprint.h"
#include "x509/certificate.h"
#include "x509/verifier.h"

namespace assertion::cli {

Result<PublicKey> KeyFromCertificate(std::string_view pem) {
  ASSIGN_OR_RETURN(auto certificate, x509::ParsePem(pem));
  if (!certificate.public_key) {
    return Fail(Code::kInvalidArgument,
                "the certificate's public key is of another kind than RSA, P-256, P-384, P-521 and Ed25519");
  }
  return std::move(*certificate.public_key);
}

Result<PublicKey> KeyFromJwks(std::string_view jwks, const nlohmann::ordered_json& header) {
  const auto set = jws::ParseForeign(jwks);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array()) {
    return Fail(Code::kInvalidArgument, "not a JWK Set: no list of keys");
  }
  const auto kid = header.find("kid");
  if (kid == header.end() || !kid->is_string()) {
    return Fail(Code::kNotFound, "the header has no kid to choose a key of the JWK Set with");
  }
  for (const auto& jwk : set["keys"]) {
    if (jwk.is_object() && jwk.value("kid", nlohmann::json()) == kid->get_ref<const std::string&>()) {
      return jws::ParseJwk(jwk);
    }
  }
  return Fail(Code::kNotFound, "the JWK Set has no key with the header's kid, so the signature is not checked");
}

Status VerifySignature(const jws::Unverified& assertion, const PublicKey& key) {
  const auto alg = assertion.header.find("alg");
  const auto* algorithm =
      alg == assertion.header.end() || !alg->is_string() ? nullptr : FindAlgorithm(alg->get_ref<const std::string&>());
  if (algorithm == nullptr) {
    return Fail(Code::kInvalidArgument, "the header's alg is not one that can be verified here");
  }
  ASSIGN_OR_RETURN(const auto verifier, x509::Verifier::New(key, *algorithm));
  if (!verifier.Verify(assertion.signing_input, assertion.signature)) {
    return Fail(Code::kInvalidArgument, "the signature is not of this key");
  }
  return {};
}

bool IsExpired(const jws::Unverified& assertion, Time now) {
  const auto exp = assertion.claims.find("exp");
  return exp != assertion.claims.end() && exp->is_number() &&
         exp->get<double>() <= static_cast<double>(now.time_since_epoch().count());
}

std::string Describe(const jws::Unverified& assertion, Time now) {
  const auto& claims = assertion.claims;
  auto text = "header  " + assertion.header.dump(2) + "\nclaims  " + jws::Indented(assertion.payload) + "\n";
  for (const auto* name : {"iat", "exp"}) {
    const auto claim = claims.find(name);
    if (claim != claims.end() && claim->is_number_integer()) {
      const Time time(std::chrono::seconds(claim->get<std::int64_t>()));
      text += std::string(name) + "     " + Rfc3339(time) + " (" + Relative(time, now) + ")\n";
    }
  }
  return text;
}

}  // namespace assertion::cli
