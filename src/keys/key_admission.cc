#include "keys/key_admission.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "jws/thumbprint.h"
#include "keys/proof.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

// Tokens disagree on CKA_LOCAL and CKA_ALWAYS_SENSITIVE for keys from outside. We do not judge a copy that vendor tools
// made by them: its provenance follows from the original, which has the same public key. Nor an imported key: the
// ledger says that it was born outside.
bool IsFit(const KeyAttribute& attribute, bool from_outside) {
  if (!from_outside) {
    return attribute.ok();
  }
  if (attribute.name == "CKA_EXTRACTABLE") {
    return attribute.value == false;
  }
  return std::ranges::find(kBirthAttributes, attribute.name) != kBirthAttributes.end() || attribute.ok();
}

Status CheckCustody(const TokenKey& key, const std::string& name, bool from_outside) {
  std::string wrong;
  for (const auto& attribute : key.attributes) {
    if (!IsFit(attribute, from_outside)) {
      wrong += (wrong.empty() ? "" : ", ") + ShownText(attribute);
    }
  }
  if (!wrong.empty()) {
    return Fail(Code::kKeyForbidden, name + " must not sign: " + wrong);
  }
  return {};
}

Status Prove(Token& token, const SigningKey& key, const std::string& name, const Random& random) {
  auto proven = ProveKey(token, key.id, *key.algorithm, key.verifier, random);
  if (!proven && !IsTokenError(proven.error())) {
    return Fail(Code::kKeyUnproven, name + " did not make a signature that its public key verifies",
                proven.error().ToString());
  }
  return proven;
}

// The certificates that the record names, from those on the token.
Result<std::vector<Certificate>> ReadChain(const KeyRecord& record, const PublicKey& public_key,
                                           const std::vector<TokenObject>& certificates, const std::string& name) {
  std::vector<Certificate> chain;
  for (const auto& thumbprint : record.certificates) {
    const auto found = std::ranges::find(certificates, thumbprint,
                                         [](const auto& object) { return jws::Sha256Thumbprint(object.value); });
    if (found == certificates.end()) {
      return Fail(Code::kLedgerUnusable, "the token lacks a certificate of " + name, "x5t#S256 " + thumbprint);
    }
    auto certificate = x509::ParseCertificate(found->value);
    if (!certificate) {
      return Fail(Code::kKeyUnproven, "a certificate of " + name + " cannot be read", certificate.error().ToString());
    }
    chain.push_back(std::move(*certificate));
  }
  if (!chain.empty() && chain.front().public_key != public_key) {
    return Fail(Code::kKeyUnproven, "the certificate of " + name + " does not belong to that key");
  }
  return chain;
}

// The public half that the record names, among all objects under its CKA_ID.
Result<PublicKey> FindPublicKey(const KeyRecord& record, const TokenKey& key, const std::string& name) {
  if (key.flaw) {
    return Fail(key.flaw->code, name + " cannot be used: " + key.flaw->message, key.flaw->detail);
  }
  const auto found = std::ranges::find_if(
      key.candidates, [&](const auto& candidate) { return jws::JwkThumbprint(candidate) == record.kid; });
  if (found == key.candidates.end()) {
    return Fail(Code::kLedgerUnusable, name + " is another on the token than in the ledger");
  }
  return *found;
}

// Anybody can destroy or replace the public key object of a key on a curve without a PIN. The ledger's kid vouches for
// the public key wherever it is found: in a certificate, or in what was known `before`.
std::optional<PublicKey> FindPublicKeyElsewhere(const KeyRecord& record, const TokenContents& contents,
                                                const ClientKeys& before) {
  if (const auto* known = before.WithKid(record.kid); known != nullptr && known->key) {
    return known->key->public_key;
  }
  for (const auto& object : contents.certificates) {
    if (std::ranges::find(record.certificates, jws::Sha256Thumbprint(object.value)) == record.certificates.end()) {
      continue;
    }
    const auto certificate = x509::ParseCertificate(object.value);
    if (certificate && certificate->public_key && jws::JwkThumbprint(*certificate->public_key) == record.kid) {
      return certificate->public_key;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string KeyNameOf(std::string_view client_id, const KeyRecord& record) {
  return "the key of client '" + std::string(client_id) + "' (kid " + record.kid + ", CKA_ID " + Hex(record.id) + ")";
}

std::string ShownText(const KeyAttribute& attribute) {
  const char* shown = !attribute.value ? "not shown" : *attribute.value ? "true" : "false";
  return std::string(attribute.name) + " is " + shown;
}

bool IsTokenError(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kTokenAbsent || error.code == Code::kDeadlineExceeded;
}

Result<ScheduledKey> AdmitKey(Token& token, const std::string& client_id, const KeyRecord& record, const TokenKey& key,
                              const TokenContents& contents, const ClientKeys& before, bool withdrawn,
                              const Random& random) {
  const auto name = KeyNameOf(client_id, record);
  auto half = FindPublicKey(record, key, name);
  if (!half && half.error().code != Code::kKeyAmbiguous && half.error().code != Code::kKeyForbidden &&
      record.algorithm->curve != nullptr && !key.attributes.empty()) {
    if (auto elsewhere = FindPublicKeyElsewhere(record, contents, before)) {
      half = std::move(*elsewhere);
    }
  }
  if (!half) {
    return std::unexpected(half.error());
  }
  if (const auto fit = CheckCustody(key, name, record.origin == KeyOrigin::kImported); !fit && !withdrawn) {
    return std::unexpected(fit.error());
  }
  auto verifier = x509::Verifier::New(*half, *record.algorithm);
  if (!verifier) {
    return Fail(Code::kKeyUnproven, name + " is not what the ledger says: " + verifier.error().message,
                verifier.error().detail);
  }
  ScheduledKey entry{.record = record, .key = nullptr, .flaw = {}};
  auto chain = ReadChain(record, *half, contents.certificates, name);
  if (!chain) {
    // Anybody can destroy a certificate without a PIN. The identity server has its own copy, so the key stays in use.
    entry.certificate_flaw = chain.error();
    const auto* known = before.WithKid(record.kid);
    const bool same = known != nullptr && known->key && known->record.certificates == record.certificates;
    chain = same ? known->key->chain : std::vector<Certificate>();
  }
  auto admitted = std::make_shared<SigningKey>(SigningKey{.client_id = client_id,
                                                          .algorithm = record.algorithm,
                                                          .id = key.id,
                                                          .public_key = std::move(*half),
                                                          .kid = record.kid,
                                                          .chain = std::move(*chain),
                                                          .verifier = std::move(*verifier),
                                                          .origin = record.origin});
  if (!withdrawn) {
    const auto asked = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(Prove(token, *admitted, name, random));
    if (token.HeldUntil() < asked) {  // else the time tells of this process
      admitted->first_signature = std::chrono::steady_clock::now() - asked;
    }
  }
  entry.key = std::move(admitted);
  return entry;
}

Result<SigningKeyPtr> AdmitCopy(Token& token, const SigningKeyPtr& original, const KeyRecord& record,
                                const TokenKey& key, const Random& random) {
  const auto name = "the copy of " + KeyNameOf(original->client_id, record);
  // The proof shows that the copy has the original's public key, whatever other objects are under its CKA_ID.
  if (auto half = FindPublicKey(record, key, name); !half && (key.flaw || original->algorithm->curve == nullptr)) {
    return std::unexpected(half.error());
  }
  RETURN_IF_ERROR(CheckCustody(key, name, /*from_outside=*/true));
  RETURN_IF_ERROR(Prove(token, *original, name, random));
  return original;
}

const TokenKey* FindKey(const TokenContents& contents, const std::string& client_id, const KeyRecord& record) {
  const auto found = std::ranges::find_if(contents.keys, [&](const auto& key) {
    return key.id == record.id && (key.label == client_id || record.origin == KeyOrigin::kAdopted);
  });
  return found == contents.keys.end() ? nullptr : &*found;
}

}  // namespace assertion
