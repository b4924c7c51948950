#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "audit/line.h"
#include "keys/signing_key.h"
#include "signing/signing_queue.h"
#include "x509/verifier.h"

namespace assertion::audit {

// Signs a checkpoint's payload. `done` gets a compact JWS (RFC 7515), on whichever thread has it; it does not block.
using Sign = std::function<void(std::string_view payload, std::move_only_function<void(Result<std::string>)> done)>;

struct Signer {
  Sign sign;
  std::string jwk;  // public, of the key that signs (RFC 7517)
};

// The token's audit key. Made at the first start; like a client's key it cannot leave the token.
class Key {
 public:
  static Result<Key> FindOrGenerate(Token& token, const Random& random);

  // Signs with this key, through the queue, which must outlive it.
  Signer ToSigner(SigningQueue& queue) const;
  const PublicKey& public_key() const { return key_->public_key; }

 private:
  explicit Key(SigningKeyPtr key) : key_(std::move(key)) {}

  SigningKeyPtr key_;
};

// What is signed of a checkpoint: where the chain stood at `covered`.
std::string CheckpointPayload(const Head& covered, std::chrono::system_clock::time_point now);

// A signed payload, ready to be chained. Lines that came while it was signed may stand before it.
std::string CheckpointBody(const std::string& payload, std::string_view jws);

// Public audit keys by kid (RFC 7638).
using PublicKeys = std::map<std::string, std::shared_ptr<const x509::Verifier>, std::less<>>;

// From a JWK or a JWK Set (RFC 7517 sections 4 and 5).
Result<PublicKeys> ParsePublicKeys(std::string_view text);
Result<PublicKeys> ToPublicKeys(const PublicKey& key);

// What the checkpoint covers, if all of its line but sequence and prev is what the holder of one of these keys signed,
// octet for octet. The reason if not.
Result<Head> CheckCheckpoint(std::string_view text, const Line& line, const PublicKeys& keys);

// How far all is proven once this checkpoint, the line of that sequence, holds: up to itself when it follows what it
// covers, for then its own sequence and prev are signed, too.
constexpr std::uint64_t ProvenBy(std::uint64_t covered, std::uint64_t sequence) {
  return covered + 1 == sequence ? sequence : covered;
}

}  // namespace assertion::audit
