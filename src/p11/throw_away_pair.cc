#include "p11/throw_away_pair.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "assertion/client.h"
#include "p11/key_pair.h"
#include "p11/objects.h"

namespace assertion::p11 {
namespace {

// True: the object shows the pair's CKA_ID and label. After a key was destroyed, tpm2-pkcs11 (1.9.0) may return
// handles of other keys, so nothing is done to an object without this look at it.
Result<bool> IsOwn(Session& session, CK_OBJECT_HANDLE object, BytesView id) {
  ASSIGN_OR_RETURN(const auto read_id, session.Read(object, CKA_ID));
  ASSIGN_OR_RETURN(const auto label, ReadText(session, object, CKA_LABEL));
  return read_id && std::ranges::equal(*read_id, id) && label == kTrialKeyLabel;
}

// The one object of the pair in this class.
Result<CK_OBJECT_HANDLE> FindOwn(Session& session, CK_OBJECT_CLASS object_class, BytesView id) {
  ASSIGN_OR_RETURN(const auto found, FindById(session, object_class, id));
  if (found.size() == 1) {
    ASSIGN_OR_RETURN(const bool own, IsOwn(session, found.front(), id));
    if (own) {
      return found.front();
    }
  }
  return Fail(Code::kKeyAmbiguous, "the token does not show the throw-away key that it made, or shows it twice",
              std::to_string(found.size()) + " objects with CKA_ID " + Hex(id));
}

Status DestroyOwn(Session& session, BytesView id) {
  Status all;
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    ASSIGN_OR_RETURN(const auto found, FindById(session, object_class, id));
    for (const auto object : found) {
      const auto own = IsOwn(session, object, id);
      auto destroyed = !own ? std::unexpected(own.error()) : *own ? session.Destroy(object) : Status();
      all = destroyed ? std::move(all) : std::move(destroyed);
    }
  }
  return all;
}

}  // namespace

Result<ThrowAwayPair> ThrowAwayPair::Make(Session& session, const Algorithm& algorithm, const AttributeTypes& known) {
  constexpr std::size_t kIdOctets = 16;
  Bytes id(kIdOctets);
  if (RAND_bytes(id.data(), static_cast<int>(id.size())) != 1) {
    return Fail(Code::kInternal, "no random octets for a CKA_ID", "RAND_bytes");
  }
  const NewKey key{
      .label = std::string(kTrialKeyLabel), .id = id, .algorithm = &algorithm, .bits = algorithm.default_key_bits()};
  auto settled = NegotiateKeyPair(session, key, known);
  const auto private_key =
      settled ? FindOwn(session, CKO_PRIVATE_KEY, id) : Result<CK_OBJECT_HANDLE>(std::unexpected(settled.error()));
  const auto public_key = private_key ? FindOwn(session, CKO_PUBLIC_KEY, id) : private_key;
  if (!public_key) {
    static_cast<void>(DestroyOwn(session, id));  // most often there is none
    return std::unexpected(public_key.error());
  }
  return ThrowAwayPair{
      .id = std::move(id), .private_key = *private_key, .public_key = *public_key, .left_out = std::move(*settled)};
}

Status ThrowAwayPair::Check(Session& session) const {
  ASSIGN_OR_RETURN(const bool own, IsOwn(session, private_key, id));
  return own ? session.CheckLogin()
             : Fail(Code::kUnavailable, "the HSM is not available; try again",
                    "the token shows another key under the handle of a throw-away key");
}

Status ThrowAwayPair::Destroy(Session& session) const { return DestroyOwn(session, id); }

Status ThrowAwayPair::DestroyMade(Session& session, CK_OBJECT_HANDLE made) const {
  const auto label = ReadText(session, made, CKA_LABEL);
  if (!label) {
    return label.error().code == Code::kNotFound ? Status() : std::unexpected(label.error());
  }
  if (label->empty()) {
    return Fail(Code::kKeyAmbiguous, "an object of the trial shows no CKA_LABEL, so it is not destroyed",
                "CKA_LABEL cannot be read, or is empty");
  }
  if (*label != kTrialKeyLabel) {
    return {};  // the trial's object has gone, and a client's key may have its handle
  }
  // Every object of a trial is a session object. Another trial's pair has the same label, and is on the token.
  ASSIGN_OR_RETURN(const auto on_token, ReadFlag(session, made, CKA_TOKEN));
  ASSIGN_OR_RETURN(const bool own, on_token == false ? Result<bool>(true) : IsOwn(session, made, id));
  return own ? session.Destroy(made)
             : Fail(Code::kKeyAmbiguous, "an object of the trial shows as one on the token, so it is not destroyed",
                    "CKA_TOKEN is not false of an object with the label " + std::string(kTrialKeyLabel));
}

}  // namespace assertion::p11
