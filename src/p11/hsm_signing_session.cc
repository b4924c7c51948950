#include "p11/hsm_signing_session.h"

#include <iterator>
#include <string>

#include "p11/objects.h"

namespace assertion::p11 {

namespace {

bool IsMechanismRefused(const Error& error) {
  return error.detail == CryptokiError("C_SignInit", CKR_MECHANISM_INVALID).detail;
}

}  // namespace

Result<Bytes> HsmSigningSession::Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) {
  const auto* mechanism = mechanisms_->Find(algorithm);
  if (mechanism == nullptr) {
    return Fail(Code::kLedgerUnusable, "the HSM has no mechanism for " + std::string(algorithm.name),
                "C_GetMechanismList: neither " + std::string(algorithm.of_message.name) + " nor one over a digest");
  }
  ASSIGN_OR_RETURN(const auto key, HandleOf(id));
  auto signature = SignWith(*mechanism, key, input);
  if (!signature && IsMechanismRefused(signature.error())) {
    const auto* next = mechanisms_->FindAfterRefusal(algorithm, *mechanism);
    return next == nullptr ? signature : SignWith(*next, key, input);
  }
  return signature;
}

Result<Bytes> HsmSigningSession::SignWith(const SigningMechanism& mechanism, CK_OBJECT_HANDLE key,
                                          std::string_view input) {
  if (mechanism.digest == nullptr) {
    return session_.Sign(mechanism, key, AsBytes(input));
  }
  ASSIGN_OR_RETURN(const auto data, hasher_.Hash(*mechanism.digest, mechanism.digest_info, input));
  return session_.Sign(mechanism, key, data);
}

Result<CK_OBJECT_HANDLE> HsmSigningSession::HandleOf(const Bytes& id) {
  if (const auto known = handles_.find(id); known != handles_.end()) {
    return known->second;
  }
  ASSIGN_OR_RETURN(auto found, FindById(session_, CKO_PRIVATE_KEY, id));
  // Anyone can create a private key object with CKA_PRIVATE false: ignore these.
  for (auto key = found.begin(); key != found.end();) {
    ASSIGN_OR_RETURN(const auto is_private, ReadFlag(session_, *key, CKA_PRIVATE));
    key = is_private == true ? std::next(key) : found.erase(key);
  }
  if (found.empty()) {
    RETURN_IF_ERROR(session_.CheckLogin());  // without a login the token shows no private key
    // Without a detail, which would be logged for each call: the log tells of a missing key once and each minute.
    return Fail(Code::kLedgerUnusable, "the key is not on the token any more: see assertionctl doctor");
  }
  if (found.size() > 1) {
    return Fail(Code::kKeyAmbiguous, "the token holds several keys with one CKA_ID: see assertionctl doctor",
                "C_FindObjects: " + std::to_string(found.size()) + " private keys with CKA_ID " + Hex(id));
  }
  handles_.emplace(id, found.front());
  return found.front();
}

}  // namespace assertion::p11
