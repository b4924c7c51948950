#include "signing/jws_key.h"

#include <memory>

#include "assertion/algorithm.h"
#include "assertion/signing_input.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "keys/own_key.h"
#include "x509/verifier.h"

namespace assertion {

Result<std::vector<JwsKey>> JwsKey::FindOrGenerate(Token& token, std::string_view label, std::string_view type,
                                                   const Random& random) {
  ASSIGN_OR_RETURN(const auto found, FindOrGenerateOwnKeys(token, label, random));
  const auto& algorithm = kAlgorithms.front();  // of all own keys
  std::vector<JwsKey> keys;
  for (const auto& key : found) {
    ASSIGN_OR_RETURN(auto verifier, x509::Verifier::New(key.public_key, algorithm));
    const auto kid = jws::JwkThumbprint(key.public_key);
    auto header = jws::EncodedHeader(algorithm, kid, type);
    keys.push_back(JwsKey(std::make_shared<const SigningKey>(SigningKey{.client_id = {},
                                                                        .algorithm = &algorithm,
                                                                        .id = key.id,
                                                                        .public_key = key.public_key,
                                                                        .kid = kid,
                                                                        .chain = {},
                                                                        .verifier = std::move(verifier)}),
                          std::move(header)));
  }
  return keys;
}

JwsKey::Sign JwsKey::SignThrough(SigningQueue& queue) const {
  return [&queue, key = key_, header = header_](std::string_view payload, auto done) {
    queue.SignNow(key, SigningInput(jws::SigningInput(header, payload)),
                  [done = std::move(done)](Result<Signed> made) mutable {
                    done(made ? Result<std::string>(jws::Compact(std::move(made->input), made->signature))
                              : std::unexpected(made.error()));
                  });
  };
}

std::string JwsKey::Jwk() const { return jws::Jwk(key_->public_key, *key_->algorithm, {}).dump(); }

}  // namespace assertion
