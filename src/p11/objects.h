#pragma once

#include <p11-kit/pkcs11.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/token.h"
#include "p11/session.h"

namespace assertion::p11 {

// Objects on the token: search, read, store, destroy. Handles are returned without an epoch: HsmToken sets it.

Result<std::vector<CK_OBJECT_HANDLE>> FindById(Session& session, CK_OBJECT_CLASS object_class, BytesView id);

// Empty optional: the token does not show the attribute of this object.
Result<std::optional<bool>> ReadFlag(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

// Empty when the token does not show the attribute: objects of other programs may lack it.
Result<std::string> ReadText(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

// All keys or certificates of one kind (not kData).
Result<std::vector<ListedObject>> ListObjects(Session& session, ObjectKind kind);

// See Token::List.
Result<std::vector<ListedObject>> ListObjectsAndPublicData(Session& session,
                                                           std::span<const std::string_view> applications);

// See Token::FindData.
Result<std::vector<TokenData>> FindDataObjects(Session& session, std::string_view application, std::string_view label);

// These need a session with CKF_RW_SESSION. See the methods of Token with the same names.
Status StoreDataObject(Session& session, std::string_view application, std::string_view label, std::string_view value);
Status StoreCertificateObject(Session& session, std::string_view label, BytesView id, BytesView subject, BytesView der);
Status LabelKeyObjects(Session& session, BytesView id, std::string_view label);
Status DestroyKeyObjects(Session& session, BytesView id);

// Runs `read` again when an object vanished while it was read (kNotFound): another process changes the token, and the
// reading may also have missed the object that replaced it.
template <typename Read>
auto RetryWhileObjectsVanish(const Read& read) {
  constexpr int kAttempts = 20;
  auto result = read();
  for (int i = 1; i < kAttempts && !result && result.error().code == Code::kNotFound; ++i) {
    result = read();
  }
  if (!result && result.error().code == Code::kNotFound) {
    result.error() = Error{Code::kUnavailable, "the HSM is not available; try again", result.error().detail};
  }
  return result;
}

}  // namespace assertion::p11
