#include "keys/orphan.h"

#include <algorithm>

#include "jws/thumbprint.h"

namespace assertion {
namespace {

// Whether a record of the client named by `label` satisfies `matches`.
template <typename Matches>
bool IsKnown(const Ledgers& ledgers, const std::string& label, const Matches& matches) {
  const auto ledger = ledgers.find(label);
  return ledger != ledgers.end() && std::ranges::any_of(ledger->second.keys, matches);
}

// Each by its handle: a key of another client may have the same CKA_ID.
Status Destroy(Token& token, const std::vector<Orphan>& orphans) {
  for (const auto& orphan : orphans) {
    if (auto destroyed = token.DestroyObject(orphan.handle); !destroyed) {
      return destroyed;
    }
  }
  return {};
}

}  // namespace

std::string Orphan::ToString() const {
  const char* noun = kind == Kind::kKeyPair ? "key pair" : kind == Kind::kPublicKey ? "public key" : "certificate";
  return std::string(noun) + " with CKA_ID " + Hex(id);
}

std::vector<Orphan> FindOrphans(const TokenContents& contents, const Ledgers& ledgers) {
  std::vector<Orphan> orphans;
  for (const auto& key : contents.keys) {
    if (!IsKnown(ledgers, key.label, [&](const auto& record) { return record.id == key.id; })) {
      orphans.push_back({Orphan::Kind::kKeyPair, key.label, key.id, key.private_key});
    }
  }
  for (const auto& key : contents.public_keys) {
    if (!IsKnown(ledgers, key.label, [&](const auto& record) { return record.id == key.id; })) {
      orphans.push_back({Orphan::Kind::kPublicKey, key.label, key.id, key.handle});
    }
  }
  for (const auto& certificate : contents.certificates) {
    const auto thumbprint = jws::Sha256Thumbprint(certificate.value);
    if (!IsKnown(ledgers, certificate.label, [&](const auto& record) {
          return std::ranges::find(record.certificates, thumbprint) != record.certificates.end();
        })) {
      orphans.push_back({Orphan::Kind::kCertificate, certificate.label, certificate.id, certificate.handle});
    }
  }
  return orphans;
}

Result<std::vector<Orphan>> RemoveOrphans(Token& token, Ledger& ledger, const std::string& client_id) {
  const auto hold = ledger.Take(client_id);
  if (!hold) {
    return std::unexpected(hold.error());
  }
  const auto find = [&]() -> Result<std::vector<Orphan>> {
    const auto contents = token.Read({client_id});
    if (!contents) {
      return std::unexpected(contents.error());
    }
    return FindOrphans(*contents, {{client_id, (*hold)->current()}});
  };
  auto orphans = find();
  if (!orphans) {
    return orphans;
  }
  if (const auto destroyed = Destroy(token, *orphans); !destroyed) {
    return std::unexpected(destroyed.error());
  }
  // The public half of a pair stands alone by now.
  const auto halves = find();
  const auto destroyed = halves ? Destroy(token, *halves) : std::unexpected(halves.error());
  if (!destroyed) {
    return std::unexpected(destroyed.error());
  }
  return orphans;
}

}  // namespace assertion
