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

// Signs a checkpoint's payload: a compact JWS (RFC 7515).
using Sign = std::function<Result<std::string>(std::string_view payload)>;

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

// The line that states and proves where the chain stood at `head`; moves the head on to it.
Result<std::string> MakeCheckpoint(Head& head, const Sign& sign, std::chrono::system_clock::time_point now);

// Public audit keys by kid (RFC 7638).
using PublicKeys = std::map<std::string, std::shared_ptr<const x509::Verifier>, std::less<>>;

// From a JWK or a JWK Set (RFC 7517 sections 4 and 5).
Result<PublicKeys> ParsePublicKeys(std::string_view text);
Result<PublicKeys> ToPublicKeys(const PublicKey& key);

// Whether the line is what the holder of one of these keys signed, octet for octet. The reason if not.
Status CheckCheckpoint(std::string_view text, const Line& line, const PublicKeys& keys);

}  // namespace assertion::audit
