#include "keys/proof.h"

#include <array>
#include <cstdint>
#include <utility>

namespace assertion {
namespace {

struct Proof {
  std::string input;
  Bytes signature;
};

Result<Proof> MakeProof(Token& token, const Bytes& id, const Algorithm& algorithm, const Random& random) {
  ASSIGN_OR_RETURN(auto input, ProofInput(random));
  ASSIGN_OR_RETURN(const auto session, token.OpenSigningSession());
  ASSIGN_OR_RETURN(auto signature, session->Sign(id, algorithm, input));
  return Proof{.input = std::move(input), .signature = std::move(signature)};
}

}  // namespace

Result<std::string> ProofInput(const Random& random) {
  std::array<std::uint8_t, 32> nonce{};
  if (!random(nonce)) {
    return Fail(Code::kInternal, "the random number generator failed", "RAND_bytes");
  }
  return "assertiond proof " + Hex(nonce);
}

Status ProveKey(Token& token, const Bytes& id, const Algorithm& algorithm, const x509::Verifier& verifier,
                const Random& random) {
  ASSIGN_OR_RETURN(const auto proof, MakeProof(token, id, algorithm, random));
  return verifier.Verify(proof.input, proof.signature) ? Status() : Fail(Code::kKeyUnproven, "verification failed");
}

// One signature for all candidates: anybody can add candidates.
Result<PublicKey> FindProvenHalf(Token& token, const TokenKey& key, const Algorithm& algorithm, const Random& random) {
  ASSIGN_OR_RETURN(const auto proof, MakeProof(token, key.id, algorithm, random));
  std::string unusable;  // the reason why a candidate is no public key for OpenSSL
  for (const auto& candidate : key.candidates) {
    const auto verifier = x509::Verifier::New(candidate, algorithm);
    if (verifier && verifier->Verify(proof.input, proof.signature)) {
      return candidate;
    }
    if (!verifier) {
      unusable = verifier.error().ToString();
    }
  }
  return Fail(Code::kKeyUnproven, "it did not make a signature that its public key verifies", std::move(unusable));
}

}  // namespace assertion
