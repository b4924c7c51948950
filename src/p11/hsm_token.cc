#include "p11/hsm_token.h"

#include <p11-kit/uri.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

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
  std::optional<bool> at_birth;  // written into the template of a new key, and read back
  std::optional<bool> to_sign;   // demanded of every key that signs
  bool where_known;              // younger than some modules: left out when the token does not take it
};

constexpr std::array kCustody = {
    Custody{CKA_SENSITIVE, "CKA_SENSITIVE", true, true, false},
    Custody{CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", {}, true, false},
    Custody{CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, false, false},
    Custody{CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", {}, true, false},
    Custody{CKA_LOCAL, "CKA_LOCAL", {}, true, false},
    Custody{CKA_SIGN, "CKA_SIGN", true, true, false},
    Custody{CKA_PRIVATE, "CKA_PRIVATE", true, {}, false},
    Custody{CKA_DECRYPT, "CKA_DECRYPT", false, {}, false},
    Custody{CKA_UNWRAP, "CKA_UNWRAP", false, {}, false},
    Custody{CKA_DERIVE, "CKA_DERIVE", false, {}, false},
    Custody{CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER", false, {}, false},
    Custody{CKA_COPYABLE, "CKA_COPYABLE", false, {}, true},
    Custody{CKA_MODIFIABLE, "CKA_MODIFIABLE", false, {}, true},
};

Bytes WithoutLeadingZeros(Bytes number) {
  number.erase(number.begin(), std::ranges::find_if(number, [](auto octet) { return octet != 0; }));
  return number;
}

Result<std::vector<CK_OBJECT_HANDLE>> FindById(Session& session, CK_OBJECT_CLASS object_class, BytesView id) {
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_ID, id), Attribute(CKA_TOKEN, kTrue)};
  return session.Find(pattern);
}

// The object of that class and id; none or one.
Result<std::optional<CK_OBJECT_HANDLE>> FindOne(Session& session, CK_OBJECT_CLASS object_class, BytesView id,
                                                const char* noun) {
  const auto found = FindById(session, object_class, id);
  if (!found) {
    return std::unexpected(found.error());
  }
  if (found->size() > 1) {
    return Fail(Code::kKeyAmbiguous, "the token holds " + std::to_string(found->size()) + " " + noun + " with CKA_ID " +
                                         Hex(id) + "; remove all but one");
  }
  return found->empty() ? std::optional<CK_OBJECT_HANDLE>() : found->front();
}

Result<Bytes> ReadNeeded(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, const char* name) {
  auto value = session.Read(object, type);
  if (!value) {
    return std::unexpected(value.error());
  }
  if (!*value) {
    return Fail(Code::kKeyUnproven, std::string("the token does not show ") + name + " of a key");
  }
  return std::move(**value);
}

Result<PublicKey> ReadPublicKey(Session& session, CK_OBJECT_HANDLE object) {
  auto modulus = ReadNeeded(session, object, CKA_MODULUS, "CKA_MODULUS");
  if (!modulus) {
    return std::unexpected(modulus.error());
  }
  auto exponent = ReadNeeded(session, object, CKA_PUBLIC_EXPONENT, "CKA_PUBLIC_EXPONENT");
  if (!exponent) {
    return std::unexpected(exponent.error());
  }
  return PublicKey{.modulus = WithoutLeadingZeros(std::move(*modulus)),
                   .exponent = WithoutLeadingZeros(std::move(*exponent))};
}

Result<std::vector<KeyAttribute>> ReadCustody(Session& session, CK_OBJECT_HANDLE key) {
  std::vector<KeyAttribute> attributes;
  for (const auto& custody : kCustody) {
    const auto value = session.Read(key, custody.type);
    if (!value) {
      return std::unexpected(value.error());
    }
    const bool shown = *value && (*value)->size() == sizeof(CK_BBOOL);
    attributes.push_back({.name = custody.name,
                          .value = shown ? std::optional((*value)->front() != CK_FALSE) : std::nullopt,
                          .required = custody.to_sign});
  }
  return attributes;
}

// Two private keys with one id cannot be told apart by anybody who pairs by it.
Result<TokenKey> ReadKey(Session& session, CK_OBJECT_HANDLE private_key) {
  auto id = ReadNeeded(session, private_key, CKA_ID, "CKA_ID");
  auto label = ReadNeeded(session, private_key, CKA_LABEL, "CKA_LABEL");
  auto type = ReadNeeded(session, private_key, CKA_KEY_TYPE, "CKA_KEY_TYPE");
  for (const auto* value : {&id, &label, &type}) {
    if (!*value) {
      return std::unexpected(value->error());
    }
  }
  const std::string name(label->begin(), label->end());
  CK_KEY_TYPE key_type{};
  if (type->size() == sizeof key_type) {
    std::memcpy(&key_type, type->data(), sizeof key_type);
  }
  if (type->size() != sizeof key_type || key_type != CKK_RSA) {
    return Fail(Code::kKeyForbidden, "the key labelled '" + name + "' is not an RSA key");
  }
  const auto same_id = FindOne(session, CKO_PRIVATE_KEY, *id, "private keys");
  const auto public_key = FindOne(session, CKO_PUBLIC_KEY, *id, "public keys");
  const auto certificate = FindOne(session, CKO_CERTIFICATE, *id, "certificates");
  for (const auto* found : {&same_id, &public_key, &certificate}) {
    if (!*found) {
      return std::unexpected(found->error());
    }
  }

  auto numbers = ReadPublicKey(session, *public_key ? **public_key : private_key);
  if (!numbers) {
    return std::unexpected(numbers.error());
  }
  auto modulus = ReadNeeded(session, private_key, CKA_MODULUS, "CKA_MODULUS");
  if (!modulus || WithoutLeadingZeros(*modulus) != numbers->modulus) {
    return Fail(
        Code::kKeyUnproven,
        "the private and the public key of '" + name + "' (CKA_ID " + Hex(*id) + ") are not two halves of one pair",
        modulus ? "CKA_MODULUS differs" : modulus.error().detail);
  }
  auto attributes = ReadCustody(session, private_key);
  if (!attributes) {
    return std::unexpected(attributes.error());
  }
  TokenKey key{.private_key = private_key,
               .label = name,
               .id = std::move(*id),
               .public_key = std::move(*numbers),
               .certificate = {},
               .attributes = std::move(*attributes)};
  if (*certificate) {
    auto der = ReadNeeded(session, **certificate, CKA_VALUE, "CKA_VALUE");
    if (!der) {
      return std::unexpected(der.error());
    }
    key.certificate = std::move(*der);
  }
  return key;
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

class HsmSigningSession final : public SigningSession {
 public:
  explicit HsmSigningSession(Session session) : session_(std::move(session)) {}

  Result<Bytes> Sign(ObjectHandle key, const Algorithm& algorithm, std::string_view input) override {
    return session_.Sign({.mechanism = algorithm.pkcs11_mechanism, .pParameter = nullptr, .ulParameterLen = 0}, key,
                         AsBytes(input));
  }

 private:
  Session session_;
};

Result<Session::KeyPair> Generate(Session& session, const NewKey& key, bool all_attributes) {
  const auto bits = static_cast<CK_ULONG>(key.bits);
  static constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};  // 65537
  std::vector public_template = {Attribute(CKA_TOKEN, kTrue),
                                 Attribute(CKA_PRIVATE, kFalse),
                                 Attribute(CKA_VERIFY, kTrue),
                                 Attribute(CKA_ENCRYPT, kFalse),
                                 Attribute(CKA_WRAP, kFalse),
                                 Attribute(CKA_MODULUS_BITS, bits),
                                 Attribute(CKA_PUBLIC_EXPONENT, BytesView(kExponent)),
                                 Attribute(CKA_ID, key.id),
                                 Attribute(CKA_LABEL, AsBytes(key.label))};
  std::vector private_template = {Attribute(CKA_TOKEN, kTrue), Attribute(CKA_ID, key.id),
                                  Attribute(CKA_LABEL, AsBytes(key.label))};
  for (const auto& custody : kCustody) {
    if (custody.at_birth && (all_attributes || !custody.where_known)) {
      private_template.push_back(Attribute(custody.type, *custody.at_birth ? kTrue : kFalse));
    }
  }
  return session.GenerateKeyPair({.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN, .pParameter = nullptr, .ulParameterLen = 0},
                                 public_template, private_template);
}

}  // namespace

Result<std::unique_ptr<HsmToken>> HsmToken::LogIn(std::shared_ptr<Module> module, TokenInfo info,
                                                  const std::string& pin_path, const std::string& state_directory) {
  if ((info.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) != 0) {
    return Fail(Code::kPinLocked, (info.flags & CKF_USER_PIN_LOCKED) != 0
                                      ? "the token has locked its user PIN: the security officer must unlock it"
                                      : "one more wrong PIN would lock the token: not tried; log in once by hand "
                                        "with the right PIN, then start again");
  }
  const auto pin = Pin::ReadFile(pin_path);
  if (!pin) {
    return std::unexpected(pin.error());
  }
  const RefusedPins refused(state_directory, info.serial);
  if (refused.Contain(*pin)) {
    return Fail(Code::kPinRefused, "the token refused the PIN in " + pin_path +
                                       " before; not tried again, tokens lock after a few attempts: correct that "
                                       "file, or remove " +
                                       refused.path() + " if the token was changed");
  }
  if (const auto can_remember = refused.Prepare(); !can_remember) {
    return std::unexpected(can_remember.error());
  }
  auto session = Session::Open(module, info.slot, 0);
  if (!session) {
    return std::unexpected(session.error());
  }
  if (auto logged_in = session->LogIn(*pin); !logged_in) {
    if (logged_in.error().code == Code::kPinRefused) {
      const auto remembered = refused.Add(*pin);
      logged_in.error().message += "; it will not be tried again until " + pin_path + " holds another";
      if (!remembered) {
        logged_in.error().detail += "; " + remembered.error().ToString();
      }
    }
    return std::unexpected(logged_in.error());
  }
  return std::unique_ptr<HsmToken>(new HsmToken(std::move(module), std::move(info), std::move(*session)));
}

bool HsmToken::Supports(const Algorithm& algorithm) const {
  CK_MECHANISM_INFO info{};
  return (*module_)->C_GetMechanismInfo(info_.slot, algorithm.pkcs11_mechanism, &info) == CKR_OK &&
         (info.flags & CKF_SIGN) != 0 &&
         (*module_)->C_GetMechanismInfo(info_.slot, CKM_RSA_PKCS_KEY_PAIR_GEN, &info) == CKR_OK;
}

Result<std::vector<TokenKey>> HsmToken::FindKeys(std::string_view label) {
  auto session = OpenSession(0);
  if (!session) {
    return std::unexpected(session.error());
  }
  const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_LABEL, AsBytes(label)),
                        Attribute(CKA_TOKEN, kTrue)};
  const auto found = session->Find(pattern);
  if (!found) {
    return std::unexpected(found.error());
  }
  std::vector<TokenKey> keys;
  for (const auto handle : *found) {
    auto key = ReadKey(*session, handle);
    if (!key) {
      return std::unexpected(key.error());
    }
    keys.push_back(std::move(*key));
  }
  return keys;
}

Result<TokenKey> HsmToken::GenerateKeyPair(const NewKey& key) {
  auto session = OpenSession(CKF_RW_SESSION);
  if (!session) {
    return std::unexpected(session.error());
  }
  const auto same_id = FindById(*session, CKO_PRIVATE_KEY, key.id);
  if (!same_id) {
    return std::unexpected(same_id.error());
  }
  if (!same_id->empty()) {
    return Fail(Code::kAlreadyExists, "the token holds a key with CKA_ID " + Hex(key.id));
  }
  auto pair = Generate(*session, key, /*all_attributes=*/true);
  if (!pair && pair.error().code == Code::kInternal) {
    pair = Generate(*session, key, /*all_attributes=*/false);
  }
  if (!pair) {
    return std::unexpected(pair.error());
  }
  auto made = ReadKey(*session, pair->private_key);
  const auto checked = made ? CheckAtBirth(*made) : std::unexpected(made.error());
  if (!checked) {
    auto error = checked.error();
    for (const auto half : {pair->private_key, pair->public_key}) {
      if (const auto destroyed = session->Destroy(half); !destroyed) {
        error.detail += "; left on the token: " + destroyed.error().ToString();
      }
    }
    return std::unexpected(std::move(error));
  }
  return made;
}

Status HsmToken::StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) {
  auto session = OpenSession(CKF_RW_SESSION);
  if (!session) {
    return std::unexpected(session.error());
  }
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
  const auto created = session->Create(attributes);
  return created ? Status() : std::unexpected(created.error());
}

Status HsmToken::DestroyKey(BytesView id) {
  auto session = OpenSession(CKF_RW_SESSION);
  if (!session) {
    return std::unexpected(session.error());
  }
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE}) {
    const auto found = FindById(*session, object_class, id);
    if (!found) {
      return std::unexpected(found.error());
    }
    for (const auto object : *found) {
      if (auto destroyed = session->Destroy(object); !destroyed) {
        return destroyed;
      }
    }
  }
  return {};
}

Result<std::string> HsmToken::PrivateKeyUri(BytesView id) {
  const std::unique_ptr<P11KitUri, decltype(&p11_kit_uri_free)> uri(p11_kit_uri_new(), p11_kit_uri_free);
  *p11_kit_uri_get_token_info(uri.get()) = info_.raw;
  const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  auto with_class = Attribute(CKA_CLASS, object_class);
  auto with_id = Attribute(CKA_ID, id);
  char* text = nullptr;
  if (p11_kit_uri_set_attribute(uri.get(), &with_class) != P11_KIT_URI_OK ||
      p11_kit_uri_set_attribute(uri.get(), &with_id) != P11_KIT_URI_OK ||
      p11_kit_uri_format(uri.get(), P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) != P11_KIT_URI_OK) {
    return Fail(Code::kInternal, "the key's PKCS#11 URI cannot be written", "p11_kit_uri_format");
  }
  std::string result(text);
  std::free(text);
  return result;
}

Result<std::unique_ptr<SigningSession>> HsmToken::OpenSigningSession() {
  auto session = OpenSession(0);
  if (!session) {
    return std::unexpected(session.error());
  }
  return std::make_unique<HsmSigningSession>(std::move(*session));
}

}  // namespace assertion::p11
