#include "p11/key_pair.h"

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "p11/attribute.h"
#include "p11/custody.h"
#include "p11/objects.h"
#include "p11/public_half.h"

namespace assertion::p11 {
namespace {

// The handles that the token returns are not used: tpm2-pkcs11 (1.9.0) may return those of other keys after one was
// destroyed. The pair is found by its CKA_ID.
Status Generate(Session& session, const NewKey& key, const AttributeTypes& left_out) {
  const auto bits = static_cast<CK_ULONG>(key.bits);
  static constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};  // 65537
  // No CKA_VERIFY and no CKA_ENCRYPT: a TPM has one flag for CKA_VERIFY and CKA_SIGN, and one for CKA_ENCRYPT and
  // CKA_DECRYPT. No CKA_PRIVATE: AWS CloudHSM refuses false, YubiHSM 2 refuses true, and either serves us.
  std::vector public_template = {Attribute(CKA_TOKEN, kTrue), Attribute(CKA_ID, key.id),
                                 Attribute(CKA_LABEL, AsBytes(key.label))};
  if (const auto* curve = key.algorithm->curve) {
    public_template.push_back(Attribute(CKA_EC_PARAMS, AsBytes(curve->ec_params)));
  } else {
    public_template.insert(public_template.end(), {Attribute(CKA_WRAP, kFalse), Attribute(CKA_MODULUS_BITS, bits),
                                                   Attribute(CKA_PUBLIC_EXPONENT, BytesView(kExponent))});
  }
  std::vector private_template = {Attribute(CKA_TOKEN, kTrue), Attribute(CKA_ID, key.id),
                                  Attribute(CKA_LABEL, AsBytes(key.label))};
  const auto custody = CustodyTemplate(left_out);
  private_template.insert(private_template.end(), custody.begin(), custody.end());
  RETURN_IF_ERROR(session.GenerateKeyPair(
      {.mechanism = key.algorithm->key_type().pkcs11_pair_generation, .pParameter = nullptr, .ulParameterLen = 0},
      public_template, private_template));
  return {};
}

// Returns `why`, with what could not be destroyed in its detail.
Error DestroyBoth(Session& session, BytesView id, Error why) {
  if (const auto destroyed = DestroyKeyObjects(session, id); !destroyed) {
    why.detail += "; left on the token: " + destroyed.error().ToString();
  }
  return why;
}

bool IsRefused(const Status& made) { return !made && made.error().code == Code::kTemplateRefused; }

// Leaves out one attribute after the other until the token makes a pair. Asks twice for everything, whatever is known
// from before: the token may have refused a template for another reason.
Result<AttributeTypes> GiveUpUntilMade(const MakePair& make, const AttributeTypes& known) {
  auto made = make({});
  if (IsRefused(made)) {
    made = make({});
  }
  AttributeTypes left_out;
  if (IsRefused(made) && !known.empty()) {
    left_out = known;
    made = make(left_out);
  }
  for (const auto type : NegotiableAttributes()) {
    if (IsRefused(made) && left_out.insert(type).second) {
      made = make(left_out);
    }
  }
  RETURN_IF_ERROR(made);
  return left_out;
}

// Asks again, one at a time, for the attributes that were given up: for most of them the token does not mind, and it
// may have failed for another reason. The pair is destroyed first: NSS (3.87) replaces a pair of the same CKA_ID
// without a word.
Result<AttributeTypes> AskAgain(Session& session, BytesView id, const MakePair& make, const AttributeTypes& known,
                                AttributeTypes left_out) {
  for (const auto type : AttributeTypes(left_out)) {
    if (known.contains(type)) {
      continue;
    }
    RETURN_IF_ERROR(DestroyKeyObjects(session, id));
    auto fewer = left_out;
    fewer.erase(type);
    if (make(fewer)) {
      left_out = std::move(fewer);
    } else {
      RETURN_IF_ERROR(make(left_out));
    }
  }
  return left_out;
}

// Objects that are not CKA_PRIVATE take no PIN to make or to destroy, and tell nothing.
Result<bool> IsPrivate(Session& session, CK_OBJECT_HANDLE object) {
  const auto flag = ReadFlag(session, object, CKA_PRIVATE);
  if (!flag && flag.error().code == Code::kNotFound) {  // destroyed meanwhile
    return false;
  }
  RETURN_IF_ERROR(flag);
  return *flag == true;
}

// The CKA_IDs of the private keys with this label.
Result<std::set<Bytes>> IdsWithLabel(Session& session, std::string_view label) {
  const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_LABEL, AsBytes(label)),
                        Attribute(CKA_PRIVATE, kTrue)};
  ASSIGN_OR_RETURN(const auto found, session.Find(pattern));
  std::set<Bytes> ids;
  for (const auto handle : found) {
    ASSIGN_OR_RETURN(const bool needs_login, IsPrivate(session, handle));
    if (!needs_login) {
      continue;
    }
    auto id = session.Read(handle, CKA_ID);
    if (!id && id.error().code != Code::kNotFound) {  // another process destroyed it meanwhile
      return std::unexpected(std::move(id).error());
    }
    if (id) {
      ids.insert(std::move(*id).value_or(Bytes()));
    }
  }
  return ids;
}

// A module was seen that replaces a pair without a word when it makes another.
Status CheckOthersRemain(Session& session, const NewKey& key, const std::set<Bytes>& before) {
  ASSIGN_OR_RETURN(const auto after, IdsWithLabel(session, key.label));
  for (const auto& id : before) {
    if (!after.contains(id)) {
      return Fail(Code::kInternal, "the key with CKA_ID " + Hex(id) +
                                       " is gone from the token since another was made; the new one was destroyed");
    }
  }
  return {};
}

// The halves of a new pair must agree. Later a public half may be anyone's: it takes no PIN to make one. A handle of
// tpm2-pkcs11 (1.9.0) may show another object after a destruction, so it counts only while it shows the CKA_ID.
Status CheckHalvesAgree(Session& session, const std::vector<CK_OBJECT_HANDLE>& public_keys, const TokenKey& key) {
  bool differs = false;
  for (const auto half : public_keys) {
    ASSIGN_OR_RETURN(const auto id, session.Read(half, CKA_ID));
    if (!id || *id != key.id) {
      continue;
    }
    ASSIGN_OR_RETURN(const auto shown, ReadPublicKey(session, half));
    if (shown == key.public_key) {
      return {};
    }
    differs = true;
  }
  return differs
             ? NotOnePair("CKA_MODULUS, CKA_PUBLIC_EXPONENT or CKA_EC_POINT differs between the halves of a new pair")
             : Status();
}

// Reads the key back and judges it.
Status ReadBack(Session& session, const AttributeTypes& left_out, const AttributeNames& accepted, bool imported,
                TokenKey& key) {
  std::vector<CK_OBJECT_HANDLE> private_keys;
  ASSIGN_OR_RETURN(const auto found, FindById(session, CKO_PRIVATE_KEY, key.id));
  for (const auto handle : found) {
    ASSIGN_OR_RETURN(const bool needs_login, IsPrivate(session, handle));
    if (needs_login) {
      private_keys.push_back(handle);
    }
  }
  ASSIGN_OR_RETURN(const auto public_keys, FindById(session, CKO_PUBLIC_KEY, key.id));
  if (private_keys.size() != 1) {
    return Fail(Code::kKeyAmbiguous, "the token shows " + std::to_string(private_keys.size()) +
                                         " private keys with the CKA_ID of the one that it made");
  }
  key.private_key = {.value = private_keys.front()};
  RETURN_IF_ERROR(ReadKeyPair(session, public_keys, key));
  RETURN_IF_ERROR(CheckHalvesAgree(session, public_keys, key));
  MarkAccepted(key.attributes, accepted);
  return CheckCustodyAtBirth(key.attributes, left_out, imported);
}

}  // namespace

Result<AttributeTypes> NegotiateKeyPair(Session& session, BytesView id, const MakePair& make,
                                        const AttributeTypes& known) {
  auto made = GiveUpUntilMade(make, known);
  if (!made && made.error().code == Code::kTemplateRefused) {
    return Fail(Code::kInternal,
                "the HSM refused to make the key, also without the attributes that it may leave out: its log and "
                "'assertionctl doctor' may tell more",
                made.error().detail);
  }
  RETURN_IF_ERROR(made);
  return AskAgain(session, id, make, known, std::move(*made));
}

Result<AttributeTypes> NegotiateKeyPair(Session& session, const NewKey& key, const AttributeTypes& known) {
  return NegotiateKeyPair(
      session, key.id, [&](const AttributeTypes& left_out) { return Generate(session, key, left_out); }, known);
}

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

Result<Birth> MakeTokenKey(Session& session, const NewKey& key,
                           const std::function<Result<AttributeTypes>()>& negotiate, const AttributeNames& accepted,
                           bool imported) {
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    ASSIGN_OR_RETURN(const auto same_id, FindById(session, object_class, key.id));
    if (!same_id.empty()) {
      return Fail(Code::kAlreadyExists, "the token holds a key with CKA_ID " + Hex(key.id));
    }
  }
  ASSIGN_OR_RETURN(const auto before, IdsWithLabel(session, key.label));
  ASSIGN_OR_RETURN(auto settled, negotiate());
  Birth birth{.key = {.private_key = {},
                      .label = key.label,
                      .id = key.id,
                      .public_key = {},
                      .attributes = {},
                      .flaw = {},
                      .candidates = {}},
              .left_out = std::move(settled)};
  auto checked = ReadBack(session, birth.left_out, accepted, imported, birth.key);
  if (checked) {
    checked = CheckOthersRemain(session, key, before);
  }
  if (!checked) {
    return std::unexpected(DestroyBoth(session, key.id, std::move(checked).error()));
  }
  return birth;
}

Result<Birth> GenerateTokenKey(Session& session, const NewKey& key, const AttributeTypes& left_out,
                               const AttributeNames& accepted) {
  return MakeTokenKey(
      session, key, [&] { return NegotiateKeyPair(session, key, left_out); }, accepted, /*imported=*/false);
}

}  // namespace assertion::p11
