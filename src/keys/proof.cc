#include "keys/proof.h"

#include <array>
#include <cstdint>

namespace assertion {

Result<std::string> ProofInput(const Random& random) {
  std::array<std::uint8_t, 32> nonce{};
  if (!random(nonce)) {
    return Fail(Code::kInternal, "the random number generator failed", "RAND_bytes");
  }
  return "assertiond proof " + Hex(nonce);
}

Status ProveKey(Token& token, const Bytes& id, const Algorithm& algorithm, const x509::Verifier& verifier,
                const Random& random) {
  const auto input = ProofInput(random);
  const auto session = input ? token.OpenSigningSession() : std::unexpected(input.error());
  ASSIGN_OR_RETURN(const auto signature,
                   session ? (*session)->Sign(id, algorithm, *input) : std::unexpected(session.error()));
  return verifier.Verify(*input, signature) ? Status() : Fail(Code::kKeyUnproven, "verification failed");
}

}  // namespace assertion
