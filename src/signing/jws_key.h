#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/signing_key.h"
#include "signing/signing_queue.h"

namespace assertion {

// A key of assertiond itself (see keys/own_key.h) that signs compact JWS (RFC 7515) of one type, for example the
// checkpoints of the audit log.
class JwsKey {
 public:
  // Signs a payload. `done` gets the compact JWS on a thread of the queue's, or at once when it is refused. Does not
  // block.
  using Sign = std::function<void(std::string_view payload, std::move_only_function<void(Result<std::string>)> done)>;

  // All keys with the CKA_LABEL `label`, by CKA_ID; at least one, which is generated when the token has none. `type` is
  // the JOSE header's typ. Errors: see FindOrGenerateOwnKeys.
  static Result<std::vector<JwsKey>> FindOrGenerate(Token& token, std::string_view label, std::string_view type,
                                                    const Random& random);

  // Signs through the queue, which must outlive the returned function.
  Sign SignThrough(SigningQueue& queue) const;

  const PublicKey& public_key() const { return key_->public_key; }
  const std::string& kid() const { return key_->kid; }
  const Bytes& id() const { return key_->id; }  // CKA_ID
  std::string Jwk() const;                      // public (RFC 7517)

 private:
  JwsKey(SigningKeyPtr key, std::string header) : key_(std::move(key)), header_(std::move(header)) {}

  SigningKeyPtr key_;
  std::string header_;  // base64url
};

}  // namespace assertion
