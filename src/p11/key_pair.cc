#include "p11/key_pair.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "p11/attribute.h"
#include "p11/custody.h"
#include "p11/objects.h"
#include "p11/public_half.h"

namespace assertion::p11 {
namespace {

Result<Session::KeyPair> Generate(Session& session, const NewKey& key, CustodyRequest request) {
  const auto bits = static_cast<CK_ULONG>(key.bits);
  static constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};  // 65537
  // No CKA_VERIFY and no CKA_ENCRYPT: a TPM has one flag for CKA_VERIFY and CKA_SIGN, and one for CKA_ENCRYPT and
  // CKA_DECRYPT.
  std::vector public_template = {Attribute(CKA_TOKEN, kTrue), Attribute(CKA_PRIVATE, kFalse), Attribute(CKA_ID, key.id),
                                 Attribute(CKA_LABEL, AsBytes(key.label))};
  if (const auto* curve = key.algorithm->curve) {
    public_template.push_back(Attribute(CKA_EC_PARAMS, AsBytes(curve->ec_params)));
  } else {
    public_template.insert(public_template.end(), {Attribute(CKA_WRAP, kFalse), Attribute(CKA_MODULUS_BITS, bits),
                                                   Attribute(CKA_PUBLIC_EXPONENT, BytesView(kExponent))});
  }
  std::vector private_template = {Attribute(CKA_TOKEN, kTrue), Attribute(CKA_ID, key.id),
                                  Attribute(CKA_LABEL, AsBytes(key.label))};
  const auto custody = CustodyTemplate(request);
  private_template.insert(private_template.end(), custody.begin(), custody.end());
  return session.GenerateKeyPair(
      {.mechanism = key.algorithm->key_type().pkcs11_pair_generation, .pParameter = nullptr, .ulParameterLen = 0},
      public_template, private_template);
}

// Asks for full custody first; a token that refuses this template is asked again without the recent attributes.
Result<Session::KeyPair> GenerateAsTokenAllows(Session& session, const NewKey& key) {
  auto pair = Generate(session, key, CustodyRequest::kAll);
  if (!pair && pair.error().code == Code::kInternal) {
    pair = Generate(session, key, CustodyRequest::kWithoutRecent);
  }
  return pair;
}

// Returns `why`, with what could not be destroyed in its detail.
Error DestroyBoth(Session& session, const Session::KeyPair& pair, Error why) {
  for (const auto half : {pair.private_key, pair.public_key}) {
    if (const auto destroyed = session.Destroy(half); !destroyed) {
      why.detail += "; left on the token: " + destroyed.error().ToString();
    }
  }
  return why;
}

}  // namespace

Status ReadKeyPair(Session& session, const std::vector<CK_OBJECT_HANDLE>& halves, TokenKey& key) {
  ASSIGN_OR_RETURN(key.attributes, ReadCustody(session, key.private_key.value));
  ASSIGN_OR_RETURN(auto candidates, ReadCandidates(session, key.private_key.value, halves));
  if (candidates.empty()) {
    return NotOnePair("no public key with its CKA_ID is of its kind");
  }
  key.public_key = candidates.front();
  key.candidates = std::move(candidates);
  return {};
}

Result<TokenKey> GenerateTokenKey(Session& session, const NewKey& key) {
  ASSIGN_OR_RETURN(const auto same_id, FindById(session, CKO_PRIVATE_KEY, key.id));
  if (!same_id.empty()) {
    return Fail(Code::kAlreadyExists, "the token holds a key with CKA_ID " + Hex(key.id));
  }
  ASSIGN_OR_RETURN(const auto pair, GenerateAsTokenAllows(session, key));
  TokenKey made{.private_key = {.value = pair.private_key},
                .label = key.label,
                .id = key.id,
                .public_key = {},
                .attributes = {},
                .flaw = {},
                .candidates = {}};
  auto checked = ReadKeyPair(session, {pair.public_key}, made);
  if (checked) {
    checked = CheckCustodyAtBirth(made.attributes);
  }
  if (!checked) {
    return std::unexpected(DestroyBoth(session, pair, std::move(checked).error()));
  }
  return made;
}

}  // namespace assertion::p11
