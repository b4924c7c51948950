#include "p11/token_contents.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "assertion/bytes.h"
#include "p11/key_pair.h"
#include "p11/objects.h"
#include "p11/public_half.h"

namespace assertion::p11 {
namespace {

// The objects that the caller asked for.
struct Wanted {
  const std::set<std::string, std::less<>>& labels;
  const std::set<Bytes>& ids;

  bool operator()(const ListedObject& key) const { return labels.contains(key.label) || ids.contains(key.id); }
};

// Halves are paired by CKA_ID, so two private keys with one CKA_ID cannot be told apart.
Status CheckIdIsUnique(const std::vector<ListedObject>& private_keys, const Bytes& id) {
  const auto count = std::ranges::count(private_keys, id, &ListedObject::id);
  if (count > 1) {
    return Fail(Code::kKeyAmbiguous, "the token holds " + std::to_string(count) + " private keys with CKA_ID " +
                                         Hex(id) + "; remove all but one");
  }
  return {};
}

Status ReadPair(Session& session, const std::vector<ListedObject>& private_keys,
                const std::vector<ListedObject>& public_keys, TokenKey& key) {
  RETURN_IF_ERROR(CheckIdIsUnique(private_keys, key.id));
  std::vector<CK_OBJECT_HANDLE> halves;
  for (const auto& half : public_keys) {
    if (half.id == key.id) {
      halves.push_back(half.handle.value);
    }
  }
  return ReadKeyPair(session, halves, key);
}

// Fails for an error of the token only: an error of this key becomes its flaw.
Result<TokenKey> ReadKey(Session& session, const ListedObject& object, const std::vector<ListedObject>& private_keys,
                         const std::vector<ListedObject>& public_keys) {
  TokenKey key{.private_key = object.handle,
               .label = object.label,
               .id = object.id,
               .public_key = {},
               .attributes = {},
               .flaw = {},
               .candidates = {}};
  const auto read = ReadPair(session, private_keys, public_keys, key);
  if (!read && !IsFlaw(read.error())) {
    return std::unexpected(read.error());
  }
  if (!read) {
    key.flaw = read.error();
  }
  return key;
}

TokenObject WithoutValue(const ListedObject& object) {
  return {.handle = object.handle, .label = object.label, .id = object.id, .value = {}};
}

// Moves the private keys with CKA_PRIVATE false, which are no keys to us, from `private_keys` to `unguarded`.
void SetUnguardedAside(const Wanted& wanted, std::vector<ListedObject>& private_keys,
                       std::vector<TokenObject>& unguarded) {
  for (const auto& object : private_keys) {
    if (!object.is_private && wanted(object)) {
      unguarded.push_back(WithoutValue(object));
    }
  }
  std::erase_if(private_keys, [](const auto& object) { return !object.is_private; });
}

}  // namespace

Result<TokenContents> ReadTokenContents(Session& session, const std::set<std::string, std::less<>>& labels,
                                        const std::set<Bytes>& ids) {
  const Wanted wanted{.labels = labels, .ids = ids};
  ASSIGN_OR_RETURN(auto private_keys, ListObjects(session, ObjectKind::kPrivateKey));
  ASSIGN_OR_RETURN(const auto public_keys, ListObjects(session, ObjectKind::kPublicKey));
  ASSIGN_OR_RETURN(const auto certificates, ListObjects(session, ObjectKind::kCertificate));
  TokenContents contents;
  SetUnguardedAside(wanted, private_keys, contents.unguarded);
  std::set<Bytes> found;
  for (const auto& object : private_keys) {
    if (wanted(object)) {
      ASSIGN_OR_RETURN(auto key, ReadKey(session, object, private_keys, public_keys));
      found.insert(key.id);
      contents.keys.push_back(std::move(key));
    }
  }
  for (const auto& object : public_keys) {
    if (labels.contains(object.label) || found.contains(object.id)) {
      ASSIGN_OR_RETURN(auto public_key, ReadPublicKey(session, object.handle.value));
      contents.public_keys.push_back(WithoutValue(object));
      contents.public_keys.back().public_key = std::move(public_key);
    }
  }
  for (const auto& object : certificates) {
    if (labels.contains(object.label)) {
      ASSIGN_OR_RETURN(auto value, session.Read(object.handle.value, CKA_VALUE));
      contents.certificates.push_back(WithoutValue(object));
      contents.certificates.back().value = std::move(value).value_or(Bytes());
    }
  }
  return contents;
}

}  // namespace assertion::p11
