// KeyCustodian's import of a private key that another party made.

#include <string>
#include <utility>

#include "jws/thumbprint.h"
#include "keys/key_admission.h"
#include "keys/key_custodian.h"
#include "keys/proof.h"
#include "x509/verifier.h"

namespace assertion {

// Makes the pair, or takes `imported`, which signs a proof.
Result<TokenKey> KeyCustodian::PutOnToken(const NewKey& key, const PrivateKey* imported) const {
  if (imported == nullptr) {
    return token_.GenerateKeyPair(key);
  }
  ASSIGN_OR_RETURN(const auto verifier, x509::Verifier::New(imported->public_key, *key.algorithm));
  ASSIGN_OR_RETURN(auto taken, token_.ImportKeyPair(key, *imported));
  if (const auto proven = ProveKey(token_, key.id, *key.algorithm, verifier, random_); !proven) {
    auto error = proven.error();
    if (!IsTokenError(error)) {
      error = {.code = Code::kInvalidArgument,
               .message = "private_key: the key does not make signatures that its public key verifies",
               .detail = error.ToString()};
    }
    if (const auto destroyed = token_.DestroyKey(key.id); !destroyed) {
      error.detail += "; left on the token: " + destroyed.error().ToString();
    }
    return std::unexpected(std::move(error));
  }
  taken.public_key = imported->public_key;
  return taken;
}

Result<std::string> KeyCustodian::Import(const ChangeRequest& change, const NewKeyRequest& key,
                                         const PrivateKey& private_key) {
  return Change(change, [&](const Client& client, Draft& draft) -> Result<std::string> {
    const auto kid = jws::JwkThumbprint(private_key.public_key);
    if (FindKid(draft.next.keys, kid) != nullptr) {
      return Fail(Code::kFailedPrecondition,
                  "private_key: client '" + client.client_id + "' has this key already, with kid " + kid);
    }
    return AddFirstOrStaged(client, key, draft, &private_key);
  });
}

}  // namespace assertion
