#include "p11/hsm_token.h"

#include <p11-kit/uri.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>
#include <variant>

#include "p11/hasher.h"
#include "p11/pin.h"
#include "p11/refused_pins.h"

namespace assertion::p11 {
namespace {

CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, BytesView value) {
  return {.type = type, .pValue = const_cast<std::uint8_t*>(value.data()), .ulValueLen = value.size()};
}

template <typename T>
  requires std::is_arithmetic_v<T>
CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, const T& value) {
  return {.type = type, .pValue = const_cast<T*>(&value), .ulValueLen = sizeof value};
}

constexpr CK_BBOOL kTrue = CK_TRUE;
constexpr CK_BBOOL kFalse = CK_FALSE;

// What custody asks of a private key (PKCS#11 v2.40 base, sections 4.8 and 4.9).
struct Custody {
  CK_ATTRIBUTE_TYPE type;
  std::string_view name;
  std::string_view meaning;      // what the right value proves
  std::optional<bool> at_birth;  // written into the template of a new key, and read back
  std::optional<bool> to_sign;   // demanded of every key that signs
  bool where_known;              // younger than some modules: left out when the token does not take it
};

constexpr std::array kCustody = {
    Custody{CKA_SENSITIVE, "CKA_SENSITIVE", "its value cannot be read in plain text outside the token", true, true,
            false},
    Custody{CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", "its value never could be", {}, true, false},
    Custody{CKA_EXTRACTABLE, "CKA_EXTRACTABLE", "it cannot be wrapped and taken out", false, false, false},
    Custody{CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", "it never could be", {}, true, false},
    Custody{CKA_LOCAL, "CKA_LOCAL", "it was generated inside the token, not imported", {}, true, false},
    Custody{CKA_SIGN, "CKA_SIGN", "it signs", true, true, false},
    Custody{CKA_PRIVATE, "CKA_PRIVATE", "it is of no use without login", true, true, false},
    Custody{CKA_DECRYPT, "CKA_DECRYPT", "it does not decrypt", false, {}, false},
    Custody{CKA_UNWRAP, "CKA_UNWRAP", "it does not unwrap other keys", false, {}, false},
    Custody{CKA_DERIVE, "CKA_DERIVE", "no key is derived from it", false, {}, false},
    Custody{CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER", "it does not sign with message recovery", false, {}, false},
    Custody{CKA_COPYABLE, "CKA_COPYABLE", "it cannot be copied with other attributes", false, {}, true},
    Custody{CKA_MODIFIABLE, "CKA_MODIFIABLE", "its attributes cannot be changed", false, {}, true},
};

Bytes WithoutLeadingZeros(Bytes number) {
  number.erase(number.begin(), std::ranges::find_if(number, [](auto octet) { return octet != 0; }));
  return number;
}

Result<std::vector<CK_OBJECT_HANDLE>> FindById(Session& session, CK_OBJECT_CLASS object_class, BytesView id) {
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_ID, id), Attribute(CKA_TOKEN, kTrue)};
  return session.Find(pattern);
}

Result<Bytes> ReadNeeded(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, const char* name) {
  ASSIGN_OR_RETURN(auto value, session.Read(object, type));
  if (!value) {
    return Fail(Code::kKeyUnproven, std::string("the token does not show ") + name + " of a key");
  }
  return std::move(*value);
}

Result<RsaPublicKey> ReadRsa(Session& session, CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(auto modulus, ReadNeeded(session, object, CKA_MODULUS, "CKA_MODULUS"));
  ASSIGN_OR_RETURN(auto exponent, ReadNeeded(session, object, CKA_PUBLIC_EXPONENT, "CKA_PUBLIC_EXPONENT"));
  return RsaPublicKey{.modulus = WithoutLeadingZeros(std::move(modulus)),
                      .exponent = WithoutLeadingZeros(std::move(exponent))};
}

// The octets of a CKA_EC_POINT that should have `size`: PKCS#11 v2.40 section 2.3.3 has them in an OCTET STRING, and
// some modules as they are. Empty when it is neither.
BytesView PointOctets(BytesView point, std::size_t size) {
  static constexpr std::array<std::uint8_t, 2> kTag = {0x04, 0x81};  // an OCTET STRING of 128 to 255 octets
  const std::size_t header = size < 128 ? 2 : 3;
  if (point.size() == header + size && point.front() == kTag[0] && point[header - 1] == size &&
      (header == 2 || point[1] == kTag[1])) {
    return point.last(size);
  }
  return point.size() == size ? point : BytesView();
}

Result<CurvePublicKey> ReadPoint(Session& session, CK_OBJECT_HANDLE object, const Curve& curve) {
  ASSIGN_OR_RETURN(const auto point, ReadNeeded(session, object, CKA_EC_POINT, "CKA_EC_POINT"));
  const bool has_y = curve.key_type == &kEc;
  const auto octets = PointOctets(point, has_y ? 1 + 2 * curve.octets : curve.octets);
  constexpr std::uint8_t kUncompressed = 0x04;  // SEC 1 section 2.3.3
  if (octets.empty() || (has_y && octets.front() != kUncompressed)) {
    return Fail(Code::kKeyUnproven, "its CKA_EC_POINT is no point of " + std::string(curve.name));
  }
  const auto coordinates = has_y ? octets.subspan(1) : octets;
  const auto x = coordinates.first(curve.octets);
  const auto y = coordinates.subspan(curve.octets);
  return CurvePublicKey{.curve = &curve, .x = Bytes(x.begin(), x.end()), .y = Bytes(y.begin(), y.end())};
}

// Nothing where the token does not show it.
Result<std::optional<bool>> ReadFlag(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  ASSIGN_OR_RETURN(const auto value, session.Read(object, type));
  const bool shown = value && value->size() == sizeof(CK_BBOOL);
  return shown ? std::optional(value->front() != CK_FALSE) : std::nullopt;
}

Result<std::vector<KeyAttribute>> ReadCustody(Session& session, CK_OBJECT_HANDLE key) {
  std::vector<KeyAttribute> attributes;
  for (const auto& custody : kCustody) {
    ASSIGN_OR_RETURN(const auto value, ReadFlag(session, key, custody.type));
    attributes.push_back(
        {.name = custody.name, .meaning = custody.meaning, .value = value, .required = custody.to_sign});
  }
  return attributes;
}

// All objects of a class on the token.
Result<std::vector<CK_OBJECT_HANDLE>> FindAll(Session& session, CK_OBJECT_CLASS object_class) {
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_TOKEN, kTrue)};
  return session.Find(pattern);
}

// Empty when the token does not show it: other programs' objects may lack either.
Result<std::string> ReadText(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  const auto value = session.Read(object, type);
  if (!value) {
    return std::unexpected(value.error());
  }
  return *value ? std::string((*value)->begin(), (*value)->end()) : "";
}

// The objects of a class with their labels and ids.
Result<std::vector<ListedObject>> ListAll(Session& session, ObjectKind kind, CK_OBJECT_CLASS object_class) {
  ASSIGN_OR_RETURN(const auto found, FindAll(session, object_class));
  std::vector<ListedObject> objects;
  for (const auto handle : found) {
    auto label = ReadText(session, handle, CKA_LABEL);
    auto id = ReadText(session, handle, CKA_ID);
    // Without a login a private key and a certificate are made as easily as a public key.
    const auto is_private = ReadFlag(session, handle, CKA_PRIVATE);
    if (!label || !id || !is_private) {
      return std::unexpected(!label ? label.error() : !id ? id.error() : is_private.error());
    }
    objects.push_back({.kind = kind,
                       .handle = {.value = handle},
                       .label = std::move(*label),
                       .id = Bytes(id->begin(), id->end()),
                       .application = {},
                       .is_private = *is_private == true});
  }
  return objects;
}

// The data objects of an application that no PIN was needed to make.
Result<std::vector<ListedObject>> ListPublicData(Session& session, std::string_view application) {
  const CK_OBJECT_CLASS object_class = CKO_DATA;
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_TOKEN, kTrue),
                        Attribute(CKA_APPLICATION, AsBytes(application)), Attribute(CKA_PRIVATE, kFalse)};
  ASSIGN_OR_RETURN(const auto found, session.Find(pattern));
  std::vector<ListedObject> objects;
  for (const auto handle : found) {
    auto label = ReadText(session, handle, CKA_LABEL);
    const auto is_private = ReadFlag(session, handle, CKA_PRIVATE);
    if (!label || !is_private) {
      return std::unexpected(label ? is_private.error() : label.error());
    }
    if (*is_private != true) {
      objects.push_back({.kind = ObjectKind::kData,
                         .handle = {.value = handle},
                         .label = std::move(*label),
                         .id = {},
                         .application = std::string(application),
                         .is_private = false});
    }
  }
  return objects;
}

Result<std::vector<ListedObject>> ListOnce(Session& session, std::span<const std::string_view> applications) {
  std::vector<ListedObject> all;
  Status listed;
  const auto take = [&](Result<std::vector<ListedObject>> objects) {
    if (objects) {
      all.insert(all.end(), std::make_move_iterator(objects->begin()), std::make_move_iterator(objects->end()));
    } else if (listed) {
      listed = std::unexpected(objects.error());
    }
  };
  take(ListAll(session, ObjectKind::kPrivateKey, CKO_PRIVATE_KEY));
  take(ListAll(session, ObjectKind::kPublicKey, CKO_PUBLIC_KEY));
  take(ListAll(session, ObjectKind::kCertificate, CKO_CERTIFICATE));
  for (const auto application : applications) {
    take(ListPublicData(session, application));
  }
  return listed ? Result<std::vector<ListedObject>>(std::move(all)) : std::unexpected(listed.error());
}

Result<CK_KEY_TYPE> ReadKeyType(Session& session, CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(const auto value, ReadNeeded(session, object, CKA_KEY_TYPE, "CKA_KEY_TYPE"));
  CK_KEY_TYPE type{};
  if (value.size() != sizeof type) {
    return Fail(Code::kKeyUnproven, "the token does not show CKA_KEY_TYPE of a key as a number");
  }
  std::memcpy(&type, value.data(), sizeof type);
  return type;
}

std::unexpected<Error> NotOnePair(std::string detail) {
  return Fail(Code::kKeyUnproven, "its private and its public key are not two halves of one pair", std::move(detail));
}

const Curve* CurveOf(const Bytes& ec_params) {
  const std::string_view value(reinterpret_cast<const char*>(ec_params.data()), ec_params.size());
  const auto* curve = FindCurve(value, &Curve::ec_params);
  return curve != nullptr || value.empty() ? curve : FindCurve(value, &Curve::other_ec_params);
}

// Whether the error is of the one object that was read, not of the token.
bool IsFlaw(const Error& error) {
  return error.code == Code::kKeyForbidden || error.code == Code::kKeyUnproven || error.code == Code::kKeyAmbiguous;
}

// On the curve that the object itself names.
Result<PublicKey> ReadCurveKey(Session& session, CK_OBJECT_HANDLE object, CK_KEY_TYPE type) {
  ASSIGN_OR_RETURN(const auto parameters, ReadNeeded(session, object, CKA_EC_PARAMS, "CKA_EC_PARAMS"));
  const auto* curve = CurveOf(parameters);
  if (curve == nullptr || curve->key_type->pkcs11_key_type != type) {
    return Fail(Code::kKeyForbidden, "it is on another curve than P-256, P-384, P-521 and Ed25519",
                "CKA_EC_PARAMS: " + Hex(parameters));
  }
  auto point = ReadPoint(session, object, *curve);
  return point ? Result<PublicKey>(std::move(*point)) : std::unexpected(point.error());
}

// Nothing when the object cannot be read as a public key: it may be anybody's.
Result<std::optional<PublicKey>> ReadPublicKey(Session& session, CK_OBJECT_HANDLE object) {
  const auto type = ReadKeyType(session, object);
  if (!type) {
    return IsFlaw(type.error()) ? Result<std::optional<PublicKey>>(std::nullopt) : std::unexpected(type.error());
  }
  Result<PublicKey> key = Fail(Code::kKeyForbidden, "it is neither an RSA key nor one on a curve");
  if (*type == kRsa.pkcs11_key_type) {
    key = ReadRsa(session, object);
  } else if (*type == kEc.pkcs11_key_type || *type == kOkp.pkcs11_key_type) {
    key = ReadCurveKey(session, object, *type);
  }
  if (!key && !IsFlaw(key.error())) {
    return std::unexpected(key.error());
  }
  return key ? std::optional(std::move(*key)) : std::nullopt;
}

// Of `halves`, the public keys on the same curve, or with the same modulus. The private key's own word, where the token
// gives it, is first.
Result<std::vector<PublicKey>> ReadCandidates(Session& session, CK_OBJECT_HANDLE private_half,
                                              const std::vector<CK_OBJECT_HANDLE>& halves) {
  ASSIGN_OR_RETURN(const auto type, ReadKeyType(session, private_half));
  const Curve* curve = nullptr;
  Bytes modulus;
  std::vector<PublicKey> candidates;
  if (type == kRsa.pkcs11_key_type) {
    auto shown = ReadNeeded(session, private_half, CKA_MODULUS, "CKA_MODULUS");
    if (!shown) {
      return IsFlaw(shown.error()) ? NotOnePair(shown.error().message) : std::unexpected(shown.error());
    }
    modulus = WithoutLeadingZeros(std::move(*shown));
    ASSIGN_OR_RETURN(auto exponent, session.Read(private_half, CKA_PUBLIC_EXPONENT));
    if (exponent && !exponent->empty()) {
      return std::vector<PublicKey>{
          RsaPublicKey{.modulus = std::move(modulus), .exponent = WithoutLeadingZeros(std::move(*exponent))}};
    }
  } else if (type == kEc.pkcs11_key_type || type == kOkp.pkcs11_key_type) {
    ASSIGN_OR_RETURN(const auto parameters, ReadNeeded(session, private_half, CKA_EC_PARAMS, "CKA_EC_PARAMS"));
    curve = CurveOf(parameters);
    if (curve == nullptr || curve->key_type->pkcs11_key_type != type) {
      return Fail(Code::kKeyForbidden, "it is on another curve than P-256, P-384, P-521 and Ed25519",
                  "CKA_EC_PARAMS: " + Hex(parameters));
    }
    if (auto own = ReadPoint(session, private_half, *curve)) {
      candidates.emplace_back(std::move(*own));
    } else if (!IsFlaw(own.error())) {
      return std::unexpected(own.error());
    }
  } else {
    return Fail(Code::kKeyForbidden, "it is neither an RSA key nor one on a curve");
  }
  for (const auto half : halves) {
    ASSIGN_OR_RETURN(auto read, ReadPublicKey(session, half));
    if (!read || std::ranges::find(candidates, *read) != candidates.end()) {
      continue;
    }
    const auto* rsa = std::get_if<RsaPublicKey>(&*read);
    const auto* point = std::get_if<CurvePublicKey>(&*read);
    if (curve != nullptr ? point != nullptr && point->curve == curve : rsa != nullptr && rsa->modulus == modulus) {
      candidates.push_back(std::move(*read));
    }
  }
  return candidates;
}

// Reads what makes a key usable into `key`; an error is a flaw of the key or of the token.
Status ReadUsable(Session& session, const std::vector<CK_OBJECT_HANDLE>& halves, TokenKey& key) {
  ASSIGN_OR_RETURN(auto attributes, ReadCustody(session, key.private_key.value));
  key.attributes = std::move(attributes);
  ASSIGN_OR_RETURN(auto candidates, ReadCandidates(session, key.private_key.value, halves));
  if (candidates.empty()) {
    return NotOnePair("no public key with its CKA_ID is of its kind");
  }
  key.public_key = candidates.front();
  key.candidates = std::move(candidates);
  return {};
}

// Two private keys of one id cannot be told apart by anybody who pairs by it.
Status CheckAlone(const std::vector<ListedObject>& private_keys, const TokenKey& key) {
  const auto count = std::ranges::count(private_keys, key.id, &ListedObject::id);
  if (count > 1) {
    return Fail(Code::kKeyAmbiguous, "the token holds " + std::to_string(count) + " private keys with CKA_ID " +
                                         Hex(key.id) + "; remove all but one");
  }
  return {};
}

// Only an error of the token fails it; what is wrong with the key alone becomes its flaw.
Result<TokenKey> ReadKey(Session& session, const ListedObject& object, const std::vector<ListedObject>& private_keys,
                         const std::vector<ListedObject>& public_keys) {
  TokenKey key{.private_key = object.handle,
               .label = object.label,
               .id = object.id,
               .public_key = {},
               .attributes = {},
               .flaw = {},
               .candidates = {}};
  auto usable = CheckAlone(private_keys, key);
  if (usable) {
    std::vector<CK_OBJECT_HANDLE> halves;
    for (const auto& half : public_keys) {
      if (half.id == key.id) {
        halves.push_back(half.handle.value);
      }
    }
    usable = ReadUsable(session, halves, key);
  }
  if (!usable) {
    if (!IsFlaw(usable.error())) {
      return std::unexpected(usable.error());
    }
    key.flaw = usable.error();
  }
  return key;
}

TokenObject Unread(const ListedObject& object) {
  return {.handle = object.handle, .label = object.label, .id = object.id, .value = {}};
}

// One look at the token; kNotFound when an object went away under it.
Result<TokenContents> ReadOnce(Session& session, const std::set<std::string, std::less<>>& labels) {
  auto private_keys = ListAll(session, ObjectKind::kPrivateKey, CKO_PRIVATE_KEY);
  const auto public_keys = ListAll(session, ObjectKind::kPublicKey, CKO_PUBLIC_KEY);
  const auto certificates = ListAll(session, ObjectKind::kCertificate, CKO_CERTIFICATE);
  for (const auto* listed : {&std::as_const(private_keys), &public_keys, &certificates}) {
    if (!*listed) {
      return std::unexpected(listed->error());
    }
  }
  TokenContents contents;
  for (const auto& object : *private_keys) {
    if (!object.is_private && labels.contains(object.label)) {
      contents.unguarded.push_back(Unread(object));
    }
  }
  std::erase_if(*private_keys, [](const auto& object) { return !object.is_private; });
  std::set<Bytes> ids;
  for (const auto& object : *private_keys) {
    if (labels.contains(object.label)) {
      ASSIGN_OR_RETURN(auto key, ReadKey(session, object, *private_keys, *public_keys));
      ids.insert(key.id);
      contents.keys.push_back(std::move(key));
    }
  }
  for (const auto& object : *public_keys) {
    if (labels.contains(object.label) || ids.contains(object.id)) {
      ASSIGN_OR_RETURN(auto public_key, ReadPublicKey(session, object.handle.value));
      contents.public_keys.push_back(Unread(object));
      contents.public_keys.back().public_key = std::move(public_key);
    }
  }
  for (const auto& object : *certificates) {
    if (labels.contains(object.label)) {
      ASSIGN_OR_RETURN(auto value, session.Read(object.handle.value, CKA_VALUE));
      contents.certificates.push_back(Unread(object));
      contents.certificates.back().value = std::move(value).value_or(Bytes());
    }
  }
  return contents;
}

Result<std::vector<TokenData>> FindDataOnce(Session& session, std::string_view application, std::string_view label) {
  const CK_OBJECT_CLASS object_class = CKO_DATA;
  std::vector pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_TOKEN, kTrue),
                         Attribute(CKA_APPLICATION, AsBytes(application))};
  if (!label.empty()) {
    pattern.push_back(Attribute(CKA_LABEL, AsBytes(label)));
  }
  ASSIGN_OR_RETURN(const auto found, session.Find(pattern));
  std::vector<TokenData> objects;
  for (const auto handle : found) {
    ASSIGN_OR_RETURN(const auto is_private, ReadFlag(session, handle, CKA_PRIVATE));
    // What may be anybody's may be of any size.
    auto name = ReadText(session, handle, CKA_LABEL);
    auto value = is_private == true ? ReadText(session, handle, CKA_VALUE) : Result<std::string>("");
    if (!name || !value) {
      return std::unexpected(name ? value.error() : name.error());
    }
    objects.push_back({.handle = {.value = handle},
                       .label = std::move(*name),
                       .value = std::move(*value),
                       .is_private = is_private == true});
  }
  return objects;
}

// Other processes change the token too: a look under which an object went away is taken again, for it may have missed
// the one that replaced it.
template <typename Look>
auto Steadily(const Look& look) {
  constexpr int kLooks = 20;
  auto seen = look();
  for (int i = 1; i < kLooks && !seen && seen.error().code == Code::kNotFound; ++i) {
    seen = look();
  }
  if (!seen && seen.error().code == Code::kNotFound) {
    seen.error() = Error{Code::kUnavailable, "the HSM is not available; try again", seen.error().detail};
  }
  return seen;
}

Status CheckAtBirth(const TokenKey& key) {
  std::string wrong;
  for (std::size_t i = 0; i < kCustody.size(); ++i) {
    const auto& custody = kCustody[i];
    const auto& value = key.attributes[i].value;
    const bool excused = custody.where_known && !value;
    if (!key.attributes[i].ok() || (custody.at_birth && !excused && value != custody.at_birth)) {
      wrong += (wrong.empty() ? "" : ", ") + std::string(custody.name);
    }
  }
  if (!wrong.empty()) {
    return Fail(Code::kKeyForbidden, "the token made a key that does not show the attributes asked for: " + wrong);
  }
  return {};
}

// Finds each key once; what it knows of handles goes with it.
class HsmSigningSession final : public SigningSession {
 public:
  HsmSigningSession(Session session, std::shared_ptr<const SigningMechanisms> mechanisms)
      : session_(std::move(session)), mechanisms_(std::move(mechanisms)) {}

  Result<Bytes> Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) override {
    const auto* mechanism = mechanisms_->Find(algorithm);
    if (mechanism == nullptr) {
      return Fail(Code::kLedgerUnusable, "the HSM has no mechanism for " + std::string(algorithm.name),
                  "C_GetMechanismInfo: neither " + std::string(algorithm.of_message.name) + " nor one over a digest");
    }
    ASSIGN_OR_RETURN(const auto key, HandleOf(id));
    const auto data =
        mechanism->digest == nullptr ? AsBytes(input) : hasher_.Hash(*mechanism->digest, mechanism->digest_info, input);
    return data ? session_.Sign(*mechanism, key, *data) : std::unexpected(data.error());
  }

 private:
  Result<CK_OBJECT_HANDLE> HandleOf(const Bytes& id) {
    if (const auto known = handles_.find(id); known != handles_.end()) {
      return known->second;
    }
    ASSIGN_OR_RETURN(auto found, FindById(session_, CKO_PRIVATE_KEY, id));
    // One that is not private may be anybody's.
    for (auto key = found.begin(); key != found.end();) {
      ASSIGN_OR_RETURN(const auto is_private, ReadFlag(session_, *key, CKA_PRIVATE));
      key = is_private == true ? std::next(key) : found.erase(key);
    }
    if (found.empty()) {
      // Who is not logged in sees no private key.
      RETURN_IF_ERROR(session_.CheckLogin());
      return Fail(Code::kLedgerUnusable, "the key is not on the token any more: see assertionctl doctor",
                  "C_FindObjects: no private key with CKA_ID " + Hex(id));
    }
    if (found.size() > 1) {
      return Fail(Code::kKeyAmbiguous, "the token holds several keys with one CKA_ID: see assertionctl doctor",
                  "C_FindObjects: " + std::to_string(found.size()) + " private keys with CKA_ID " + Hex(id));
    }
    handles_.emplace(id, found.front());
    return found.front();
  }

  Session session_;
  const std::shared_ptr<const SigningMechanisms> mechanisms_;
  Hasher hasher_;
  std::map<Bytes, CK_OBJECT_HANDLE> handles_;
};

// One attempt with the PIN file's content; see HsmToken::LogIn.
Result<Session> LogInto(const std::shared_ptr<Module>& module, const TokenInfo& info, const std::string& pin_path,
                        const std::string& state_directory) {
  if ((info.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) != 0) {
    return Fail(Code::kPinLocked, (info.flags & CKF_USER_PIN_LOCKED) != 0
                                      ? "the token has locked its user PIN: the security officer must unlock it"
                                      : "one more wrong PIN would lock the token: not tried; log in once by hand "
                                        "with the right PIN, then start again");
  }
  ASSIGN_OR_RETURN(const auto pin, Pin::ReadFile(pin_path));
  const RefusedPins refused(state_directory, info.serial);
  if (refused.Contain(pin)) {
    return Fail(Code::kPinRefused, "the token refused the PIN in " + pin_path +
                                       " before; not tried again, tokens lock after a few attempts: correct that "
                                       "file, or remove " +
                                       refused.path() + " if the token was changed");
  }
  RETURN_IF_ERROR(refused.Prepare());
  auto session = Session::Open(module, info.slot, 0);
  if (!session) {
    refused.Discard();
    return session;
  }
  if (auto logged_in = session->LogIn(pin); !logged_in) {
    if (logged_in.error().code != Code::kPinRefused) {
      refused.Discard();
    } else {
      const auto remembered = refused.Add(pin);
      logged_in.error().message += "; it will not be tried again until " + pin_path + " holds another";
      if (!remembered) {
        logged_in.error().detail += "; " + remembered.error().ToString();
      }
    }
    return std::unexpected(logged_in.error());
  }
  refused.Discard();
  return session;
}

// Marks what was seen with the epoch in which it was.
void Stamp(auto& objects, unsigned epoch) {
  for (auto& object : objects) {
    object.handle.epoch = epoch;
  }
}

Result<Session::KeyPair> Generate(Session& session, const NewKey& key, bool all_attributes) {
  const auto bits = static_cast<CK_ULONG>(key.bits);
  static constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};  // 65537
  // Neither CKA_VERIFY nor CKA_ENCRYPT: to a TPM they are one flag with CKA_DECRYPT, the other with CKA_SIGN.
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
  for (const auto& custody : kCustody) {
    if (custody.at_birth && (all_attributes || !custody.where_known)) {
      private_template.push_back(Attribute(custody.type, *custody.at_birth ? kTrue : kFalse));
    }
  }
  return session.GenerateKeyPair(
      {.mechanism = key.algorithm->key_type().pkcs11_pair_generation, .pParameter = nullptr, .ulParameterLen = 0},
      public_template, private_template);
}

}  // namespace

Result<std::unique_ptr<HsmToken>> HsmToken::LogIn(std::shared_ptr<Module> module, TokenInfo info,
                                                  const std::string& pin_path, const std::string& state_directory,
                                                  const std::string& lock_directory) {
  ASSIGN_OR_RETURN(auto login, LogInto(module, info, pin_path, state_directory));
  ASSIGN_OR_RETURN(auto mechanisms, SigningMechanisms::Read(*module, info.slot));
  return std::unique_ptr<HsmToken>(new HsmToken(
      std::move(module), pin_path, state_directory, lock_directory.empty() ? state_directory + "/lock" : lock_directory,
      mechanisms, std::make_shared<Connection>(std::move(info), std::move(login), 0)));
}

std::shared_ptr<HsmToken::Connection> HsmToken::Connected() const {
  const std::lock_guard lock(mutex_);
  return connection_;
}

// Between a reload and the login that follows it sessions open, and show no key.
Result<Session> HsmToken::OpenSession(CK_FLAGS flags) const {
  constexpr std::chrono::seconds kPatience{1};
  {
    const std::shared_lock settled(settling_, kPatience);  // or an HSM that hangs at its login has been waited for
  }
  return Session::Open(module_, Connected()->info.slot, flags);
}

std::shared_ptr<void> HsmToken::Hold() { return Module::Hold(module_); }

Status HsmToken::Check() {
  const auto connection = Connected();
  const std::lock_guard lock(connection->checking);
  return connection->login.CheckLogin();
}

Status HsmToken::Reconnect(Reconnection how) {
  const std::lock_guard one(reconnecting_);
  std::unique_lock settling(settling_, std::defer_lock);
  if (how == Reconnection::kLogIn && Check()) {
    return {};
  }
  if (how == Reconnection::kReload) {
    // Not before: those who wait for a session are not to wait for the calls that the reload waits for.
    if (auto reloaded = module_->Reload([&] { settling.lock(); }); !reloaded) {
      return reloaded;
    }
  }
  const auto before = Connected();
  ASSIGN_OR_RETURN(auto info, module_->FindAgain(before->info));
  ASSIGN_OR_RETURN(auto login, LogInto(module_, info, pin_path_, state_directory_));
  auto connection = std::make_shared<Connection>(std::move(info), std::move(login), before->epoch + 1);
  const std::lock_guard lock(mutex_);
  connection_ = std::move(connection);
  return {};
}

std::string HsmToken::MechanismOf(const Algorithm& algorithm) const {
  const auto* found = mechanisms_->Find(algorithm);
  return found == nullptr ? "" : std::string(found->mechanism.name);
}

Result<TokenContents> HsmToken::Read(const std::set<std::string, std::less<>>& labels) {
  const auto epoch = Connected()->epoch;
  ASSIGN_OR_RETURN(auto session, OpenSession(0));
  auto contents = Steadily([&] { return ReadOnce(session, labels); });
  if (contents) {
    for (auto& key : contents->keys) {
      key.private_key.epoch = epoch;
    }
    Stamp(contents->public_keys, epoch);
    Stamp(contents->certificates, epoch);
    Stamp(contents->unguarded, epoch);
  }
  return contents;
}

Result<std::vector<ListedObject>> HsmToken::List(std::span<const std::string_view> applications) {
  const auto epoch = Connected()->epoch;
  ASSIGN_OR_RETURN(auto session, OpenSession(0));
  auto objects = Steadily([&] { return ListOnce(session, applications); });
  if (objects) {
    Stamp(*objects, epoch);
  }
  return objects;
}

Result<TokenKey> HsmToken::GenerateKeyPair(const NewKey& key) {
  if (!Supports(*key.algorithm)) {
    return Fail(Code::kFailedPrecondition, "algorithm: the HSM makes no keys for " + std::string(key.algorithm->name) +
                                               "; it makes them for " + mechanisms_->Names());
  }
  const auto epoch = Connected()->epoch;
  ASSIGN_OR_RETURN(auto session, OpenSession(CKF_RW_SESSION));
  const auto same_id = FindById(session, CKO_PRIVATE_KEY, key.id);
  if (!same_id) {
    return std::unexpected(same_id.error());
  }
  if (!same_id->empty()) {
    return Fail(Code::kAlreadyExists, "the token holds a key with CKA_ID " + Hex(key.id));
  }
  auto pair = Generate(session, key, /*all_attributes=*/true);
  if (!pair && pair.error().code == Code::kInternal) {
    pair = Generate(session, key, /*all_attributes=*/false);
  }
  if (!pair) {
    return std::unexpected(pair.error());
  }
  TokenKey made{.private_key = {.value = pair->private_key, .epoch = epoch},
                .label = key.label,
                .id = key.id,
                .public_key = {},
                .attributes = {},
                .flaw = {},
                .candidates = {}};
  auto checked = ReadUsable(session, {pair->public_key}, made);
  if (checked) {
    checked = CheckAtBirth(made);
  }
  if (!checked) {
    auto error = checked.error();
    for (const auto half : {pair->private_key, pair->public_key}) {
      if (const auto destroyed = session.Destroy(half); !destroyed) {
        error.detail += "; left on the token: " + destroyed.error().ToString();
      }
    }
    return std::unexpected(std::move(error));
  }
  return made;
}

Status HsmToken::StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) {
  ASSIGN_OR_RETURN(auto session, OpenSession(CKF_RW_SESSION));
  const CK_OBJECT_CLASS object_class = CKO_CERTIFICATE;
  const CK_CERTIFICATE_TYPE type = CKC_X_509;
  std::array attributes = {Attribute(CKA_CLASS, object_class),
                           Attribute(CKA_CERTIFICATE_TYPE, type),
                           Attribute(CKA_TOKEN, kTrue),
                           Attribute(CKA_PRIVATE, kFalse),
                           Attribute(CKA_ID, id),
                           Attribute(CKA_LABEL, AsBytes(label)),
                           Attribute(CKA_SUBJECT, subject),
                           Attribute(CKA_VALUE, der)};
  const auto created = session.Create(attributes);
  return created ? Status() : std::unexpected(created.error());
}

Status HsmToken::DestroyKey(BytesView id) {
  ASSIGN_OR_RETURN(auto session, OpenSession(CKF_RW_SESSION));
  Status all;  // one that somebody put there to stay (CKA_DESTROYABLE) saves no other
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    ASSIGN_OR_RETURN(const auto found, FindById(session, object_class, id));
    for (const auto object : found) {
      if (auto destroyed = session.Destroy(object); !destroyed) {
        all = std::move(destroyed);
      }
    }
  }
  return all;
}

Status HsmToken::DestroyObject(ObjectHandle object) {
  // While the login stands no handle has come to mean another object.
  if (auto standing = Check(); !standing) {
    return standing;
  }
  if (object.epoch != Connected()->epoch) {
    return Fail(Code::kUnavailable, "the HSM was connected anew; try again", "C_DestroyObject: a handle of before");
  }
  auto session = OpenSession(CKF_RW_SESSION);
  return session ? session->Destroy(object.value) : std::unexpected(session.error());
}

Result<std::vector<TokenData>> HsmToken::FindData(std::string_view application, std::string_view label) {
  const auto epoch = Connected()->epoch;
  ASSIGN_OR_RETURN(auto session, OpenSession(0));
  auto objects = Steadily([&] { return FindDataOnce(session, application, label); });
  if (objects) {
    for (auto& object : *objects) {
      object.handle.epoch = epoch;
    }
  }
  return objects;
}

Status HsmToken::StoreData(std::string_view application, std::string_view label, std::string_view value) {
  ASSIGN_OR_RETURN(auto session, OpenSession(CKF_RW_SESSION));
  const CK_OBJECT_CLASS object_class = CKO_DATA;
  std::array attributes = {Attribute(CKA_CLASS, object_class),   Attribute(CKA_TOKEN, kTrue),
                           Attribute(CKA_PRIVATE, kTrue),        Attribute(CKA_APPLICATION, AsBytes(application)),
                           Attribute(CKA_LABEL, AsBytes(label)), Attribute(CKA_VALUE, AsBytes(value))};
  const auto created = session.Create(attributes);
  return created ? Status() : std::unexpected(created.error());
}

TokenDescription HsmToken::Describe() const {
  static constexpr std::array kFlags = {
      std::pair{CKF_RNG, "CKF_RNG"},
      std::pair{CKF_WRITE_PROTECTED, "CKF_WRITE_PROTECTED"},
      std::pair{CKF_LOGIN_REQUIRED, "CKF_LOGIN_REQUIRED"},
      std::pair{CKF_USER_PIN_INITIALIZED, "CKF_USER_PIN_INITIALIZED"},
      std::pair{CKF_PROTECTED_AUTHENTICATION_PATH, "CKF_PROTECTED_AUTHENTICATION_PATH"},
      std::pair{CKF_DUAL_CRYPTO_OPERATIONS, "CKF_DUAL_CRYPTO_OPERATIONS"},
      std::pair{CKF_TOKEN_INITIALIZED, "CKF_TOKEN_INITIALIZED"},
      std::pair{CKF_USER_PIN_FINAL_TRY, "CKF_USER_PIN_FINAL_TRY"},
      std::pair{CKF_USER_PIN_LOCKED, "CKF_USER_PIN_LOCKED"},
      std::pair{CKF_USER_PIN_TO_BE_CHANGED, "CKF_USER_PIN_TO_BE_CHANGED"},
  };
  const auto info = Connected()->info;
  TokenDescription description{.label = info.label,
                               .manufacturer = info.manufacturer,
                               .model = info.model,
                               .serial = info.serial,
                               .firmware = info.firmware,
                               .module = module_->Name(),
                               .flags = {}};
  for (const auto& [flag, name] : kFlags) {
    if ((info.flags & flag) != 0) {
      description.flags.emplace_back(name);
    }
  }
  return description;
}

Result<PrivateKeyReference> HsmToken::PrivateKeyOf(BytesView id) {
  const std::unique_ptr<P11KitUri, decltype(&p11_kit_uri_free)> uri(p11_kit_uri_new(), p11_kit_uri_free);
  *p11_kit_uri_get_token_info(uri.get()) = Connected()->info.raw;
  const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  auto with_class = Attribute(CKA_CLASS, object_class);
  auto with_id = Attribute(CKA_ID, id);
  char* text = nullptr;
  if (p11_kit_uri_set_attribute(uri.get(), &with_class) != P11_KIT_URI_OK ||
      p11_kit_uri_set_attribute(uri.get(), &with_id) != P11_KIT_URI_OK ||
      p11_kit_uri_format(uri.get(), P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) != P11_KIT_URI_OK) {
    return Fail(Code::kInternal, "the key's PKCS#11 URI cannot be written", "p11_kit_uri_format");
  }
  struct Hold {
    explicit Hold(const Module& module) : use(module.Enter()), look(module.objects()) {}
    Module::Use use;
    ObjectGate::Look look;
  };
  PrivateKeyReference reference{.uri = text, .hold = std::make_shared<Hold>(*module_)};
  std::free(text);
  return reference;
}

Result<std::unique_ptr<SigningSession>> HsmToken::OpenSigningSession() {
  ASSIGN_OR_RETURN(auto session, OpenSession(0));
  return std::make_unique<HsmSigningSession>(std::move(session), mechanisms_);
}

}  // namespace assertion::p11
