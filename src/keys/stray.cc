#include "keys/stray.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "assertion/client.h"
#include "assertion/foreign_text.h"
#include "jws/thumbprint.h"

namespace assertion {
namespace {

constexpr std::size_t kMostText = 64;  // of what anybody may have written

bool IsOwn(std::string_view label) { return std::ranges::find(kOwnKeyLabels, label) != kOwnKeyLabels.end(); }

// True if a record of the client named by `label` satisfies `matches`.
template <typename Matches>
bool IsKnown(const Ledgers& ledgers, const std::string& label, const Matches& matches) {
  const auto ledger = ledgers.find(label);
  return ledger != ledgers.end() && std::ranges::any_of(ledger->second.keys, matches);
}

// True if a public key object is the half of a key that is in use, or of a pair that is a stray as a whole.
bool IsHalf(const TokenObject& object, const std::vector<TokenKey>& keys, const Ledgers& ledgers) {
  if (!object.public_key) {
    return false;
  }
  for (const auto& [client_id, ledger] : ledgers) {
    const auto record = std::ranges::find(ledger.keys, object.id, &KeyRecord::id);
    if (record != ledger.keys.end()) {
      return record->kid == jws::JwkThumbprint(*object.public_key);
    }
  }
  return std::ranges::any_of(keys, [&](const TokenKey& key) {
    return key.id == object.id &&
           (key.flaw || std::ranges::find(key.candidates, *object.public_key) != key.candidates.end());
  });
}

void AddKeys(const TokenContents& contents, const Ledgers& ledgers, std::vector<Stray>& strays) {
  std::set<Bytes> adopted;  // whatever their label
  for (const auto& [client_id, ledger] : ledgers) {
    adopted.merge(AdoptedIds(ledger.keys));
  }
  for (const auto& key : contents.keys) {
    if (!IsOwn(key.label) && !adopted.contains(key.id) &&
        !IsKnown(ledgers, key.label, [&](const auto& record) { return record.id == key.id; })) {
      strays.push_back({Stray::Kind::kKeyPair, key.label, key.id, key.private_key, {}});
    }
  }
  for (const auto& key : contents.unguarded) {
    strays.push_back({Stray::Kind::kUnguardedKey, key.label, key.id, key.handle, {}});
  }
  std::set<std::pair<Bytes, std::string>> halves;  // of two that are the same one is too many
  for (const auto& key : contents.public_keys) {
    if (!IsHalf(key, contents.keys, ledgers) || !halves.emplace(key.id, jws::JwkThumbprint(*key.public_key)).second) {
      strays.push_back({Stray::Kind::kPublicKey, key.label, key.id, key.handle, {}});
    }
  }
}

std::vector<Stray> Among(const TokenContents& contents, const std::vector<ListedObject>& listed,
                         const Ledgers& ledgers) {
  std::vector<Stray> strays;
  AddKeys(contents, ledgers, strays);
  for (const auto& certificate : contents.certificates) {
    const auto thumbprint = jws::Sha256Thumbprint(certificate.value);
    if (!IsKnown(ledgers, certificate.label, [&](const auto& record) {
          return std::ranges::find(record.certificates, thumbprint) != record.certificates.end();
        })) {
      strays.push_back({Stray::Kind::kCertificate, certificate.label, certificate.id, certificate.handle, {}});
    }
  }
  for (const auto& object : listed) {
    if (object.kind == ObjectKind::kData) {
      strays.push_back({Stray::Kind::kPublicData, object.label, {}, object.handle, object.application});
    }
  }
  return strays;
}

// Each by its handle: a key of another client may have the same CKA_ID. One that resists saves no other.
Status Destroy(Token& token, const std::vector<Stray>& strays) {
  Status all;
  for (const auto& stray : strays) {
    if (auto destroyed = token.DestroyObject(stray.handle); !destroyed) {
      all = std::move(destroyed);
    }
  }
  return all;
}

}  // namespace

std::string Stray::ToString() const {
  switch (kind) {
    case Kind::kKeyPair:
      return "key pair with CKA_ID " + Hex(id);
    case Kind::kPublicKey:
      return "public key with CKA_ID " + Hex(id);
    case Kind::kCertificate:
      return "certificate with CKA_ID " + Hex(id);
    case Kind::kUnguardedKey:
      return "private key that is not CKA_PRIVATE, with CKA_ID " + Hex(id);
    case Kind::kPublicData:
      break;
  }
  return "data object that is not CKA_PRIVATE, '" + application + "', label " + ShownLabel();
}

std::string Stray::ShownLabel() const { return "'" + Shown(label, kMostText, "'") + "'"; }

const char* Stray::Meaning() const {
  switch (kind) {
    case Kind::kKeyPair:
    case Kind::kCertificate:
      return "is in no ledger: a change that was interrupted or is going on right now left it, or other means than "
             "assertiond";
    case Kind::kPublicKey:
      return "is not the public half of a key in use: a change that was interrupted left it, or somebody put it there, "
             "which takes no PIN";
    case Kind::kUnguardedKey:
    case Kind::kPublicData:
      break;
  }
  return "is nothing to assertiond: anybody who reaches the token can make it without the PIN, and somebody did";
}

Result<std::vector<Stray>> FindStrays(Token& token, const std::vector<std::string>& client_ids,
                                      const Ledgers& ledgers) {
  std::set<std::string, std::less<>> labels(client_ids.begin(), client_ids.end());
  labels.insert(kOwnKeyLabels.begin(), kOwnKeyLabels.end());
  const auto contents = token.Read(labels);
  ASSIGN_OR_RETURN(const auto listed, contents ? token.List(kStrayApplications) : std::unexpected(contents.error()));
  return Among(*contents, listed, ledgers);
}

Result<std::vector<Stray>> RemoveStrays(Token& token, Ledger& ledger, const std::string& client_id) {
  ASSIGN_OR_RETURN(const auto hold, ledger.Take(client_id));
  ASSIGN_OR_RETURN(auto kept, ledger.Read());
  kept.ledgers[client_id] = hold->current();
  const auto find = [&] { return FindStrays(token, {client_id}, kept.ledgers); };
  auto strays = find();
  if (!strays) {
    return strays;
  }
  RETURN_IF_ERROR(Destroy(token, *strays));
  // The public half of a pair is alone now.
  const auto halves = find();
  RETURN_IF_ERROR(halves ? Destroy(token, *halves) : std::unexpected(halves.error()));
  return strays;
}

}  // namespace assertion
