#include "signing/publications.h"

#include "keys/publication.h"

namespace assertion {

std::string PublishedJwkSet(const HsmGroup& hsms, const ClientKeys& keys) {
  return JwkSet(keys, hsms.First()->keys.Now());
}

Result<SigningKeyPtr> CertifiedKey(const HsmGroup& hsms, const std::string& client_id, std::string_view kid) {
  ASSIGN_OR_RETURN(const auto found, hsms.Find(client_id, kid));
  const auto& key = found.entry.key;
  if (key && !key->chain.empty()) {
    return key;
  }
  if (key && found.entry.certificate_flaw) {
    return Fail(Code::kFailedPrecondition, found.entry.certificate_flaw->message + ": import it again");
  }
  return Fail(Code::kFailedPrecondition, "the key of client '" + client_id + "' has no certificate");
}

}  // namespace assertion
