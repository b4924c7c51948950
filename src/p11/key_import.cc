#include "p11/key_import.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/client.h"
#include "assertion/secret.h"
#include "p11/attribute.h"
#include "p11/custody.h"
#include "p11/objects.h"
#include "p11/public_half.h"
#include "p11/rsa_encryption.h"

namespace assertion::p11 {
namespace {

constexpr std::size_t kAesOctets = 32;
constexpr std::size_t kAesBlock = 16;
constexpr CK_MECHANISM_TYPE kAesKeyWrapKwp = 0x210B;  // PKCS#11 v3.0: RFC 5649, as CKM_AES_KEY_WRAP_PAD of v2.40 mostly

using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

// How OpenSSL and the token name one way to encrypt the private key.
struct KeyWrapping {
  CK_MECHANISM_TYPE type;
  const char* cipher;
  bool has_iv;
};
constexpr std::array kKeyWrappings = {KeyWrapping{kAesKeyWrapKwp, "AES-256-WRAP-PAD", false},
                                      KeyWrapping{CKM_AES_KEY_WRAP_PAD, "AES-256-WRAP-PAD", false},
                                      KeyWrapping{CKM_AES_CBC_PAD, "AES-256-CBC", true}};

std::unexpected<Error> OpenSslFailed(const char* call) {
  return Fail(Code::kInternal, "the private key could not be wrapped", call);
}

// `iv` has the cipher's block size, or is empty.
Result<Bytes> Encrypt(const KeyWrapping& wrapping, BytesView aes_key, BytesView iv, BytesView secret) {
  const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> cipher(
      EVP_CIPHER_fetch(nullptr, wrapping.cipher, nullptr), EVP_CIPHER_free);
  const CipherContextPtr context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  if (!cipher || !context) {
    return OpenSslFailed("EVP_CIPHER_fetch");
  }
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  Bytes encrypted(secret.size() + 2 * kAesBlock);
  int size = 0;
  int rest = 0;
  if (EVP_EncryptInit_ex2(context.get(), cipher.get(), aes_key.data(), iv.empty() ? nullptr : iv.data(), nullptr) !=
          1 ||
      EVP_EncryptUpdate(context.get(), encrypted.data(), &size, secret.data(), static_cast<int>(secret.size())) != 1 ||
      EVP_EncryptFinal_ex(context.get(), encrypted.data() + size, &rest) != 1) {
    return OpenSslFailed("EVP_EncryptUpdate");
  }
  encrypted.resize(static_cast<std::size_t>(size) + static_cast<std::size_t>(rest));
  return encrypted;
}

// The throw-away AES key, here and in the session.
struct WrappingKey {
  Secret value;
  CK_OBJECT_HANDLE handle;
};

class KeyImport {
 public:
  KeyImport(Session& session, const NewKey& key, const PrivateKey& private_key)
      : session_(session),
        key_(key),
        private_key_(private_key),
        curve_(CurveOf(private_key.public_key)),
        key_type_(curve_ == nullptr ? kRsa.pkcs11_key_type : curve_->key_type->pkcs11_key_type) {}

  Result<AttributeTypes> NegotiateCreate() {
    return NegotiateKeyPair(session_, key_.id, [this](const AttributeTypes& left_out) { return Create(left_out); }, {});
  }

  Result<AttributeTypes> NegotiateUnwrap() {
    ASSIGN_OR_RETURN(const auto wrapping_key, MakeWrappingKey());
    Result<AttributeTypes> negotiated = Fail(Code::kInternal, "the HSM unwraps no key");
    for (const auto& wrapping : kKeyWrappings) {
      negotiated = NegotiateKeyPair(
          session_, key_.id, [&](const AttributeTypes& left_out) { return Unwrap(wrapping_key, wrapping, left_out); },
          {});
      if (negotiated) {
        break;
      }
      RETURN_IF_ERROR(DestroyKeyObjects(session_, key_.id));
    }
    return negotiated;
  }

 private:
  Result<Session::KeyPair> MakeThrowAwayPair() {
    const CK_ULONG bits = 2048;
    static constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};
    std::array public_template = {Attribute(CKA_TOKEN, kFalse), Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel)),
                                  Attribute(CKA_WRAP, kTrue), Attribute(CKA_MODULUS_BITS, bits),
                                  Attribute(CKA_PUBLIC_EXPONENT, BytesView(kExponent))};
    std::array private_template = {Attribute(CKA_TOKEN, kFalse),       Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel)),
                                   Attribute(CKA_PRIVATE, kTrue),      Attribute(CKA_SENSITIVE, kTrue),
                                   Attribute(CKA_EXTRACTABLE, kFalse), Attribute(CKA_UNWRAP, kTrue)};
    return session_.GenerateKeyPair(
        {.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN, .pParameter = nullptr, .ulParameterLen = 0}, public_template,
        private_template);
  }

  Result<WrappingKey> MakeWrappingKey() {
    WrappingKey made{.value = Secret(kAesOctets), .handle = CK_INVALID_HANDLE};
    if (RAND_priv_bytes(made.value.data(), static_cast<int>(kAesOctets)) != 1) {
      return OpenSslFailed("RAND_priv_bytes");
    }
    ASSIGN_OR_RETURN(const auto pair, MakeThrowAwayPair());
    ASSIGN_OR_RETURN(const auto half, ReadPublicKey(session_, pair.public_key));
    const auto* const rsa = half ? std::get_if<RsaPublicKey>(&*half) : nullptr;
    if (rsa == nullptr) {
      return Fail(Code::kInternal, "the HSM does not show the throw-away RSA key that it made");
    }
    const CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    const CK_KEY_TYPE type = CKK_AES;
    std::array attributes = {Attribute(CKA_CLASS, object_class), Attribute(CKA_KEY_TYPE, type),
                             Attribute(CKA_TOKEN, kFalse),       Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel)),
                             Attribute(CKA_SENSITIVE, kTrue),    Attribute(CKA_EXTRACTABLE, kFalse),
                             Attribute(CKA_UNWRAP, kTrue)};
    Status unwrapped;
    for (const auto& oaep : {kOaepSha256, kOaepSha1}) {
      ASSIGN_OR_RETURN(auto wrapped, EncryptRsa(*rsa, &oaep, made.value.view()));
      auto parameters = OaepParameters(oaep);
      CK_MECHANISM mechanism{
          .mechanism = CKM_RSA_PKCS_OAEP, .pParameter = &parameters, .ulParameterLen = sizeof parameters};
      unwrapped = UnwrapWith(pair.private_key, mechanism, wrapped, attributes, made.handle);
      if (unwrapped) {
        return made;
      }
    }
    return std::unexpected(unwrapped.error());
  }

  Status UnwrapWith(CK_OBJECT_HANDLE unwrapping_key, CK_MECHANISM& mechanism, Bytes& wrapped,
                    std::span<CK_ATTRIBUTE> attributes, CK_OBJECT_HANDLE& made) {
    return session_.Make("C_UnwrapKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_UnwrapKey(session, &mechanism, unwrapping_key, wrapped.data(), wrapped.size(),
                                   attributes.data(), attributes.size(), &made);
    });
  }

  Status CreateObject(std::vector<CK_ATTRIBUTE>& attributes) {
    return session_.Make("C_CreateObject", [&](auto& functions, CK_SESSION_HANDLE session) {
      CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;  // not used: see Generate in key_pair.cc
      return functions.C_CreateObject(session, attributes.data(), attributes.size(), &made);
    });
  }

  std::vector<CK_ATTRIBUTE> Template(const CK_OBJECT_CLASS& object_class) const {
    return {Attribute(CKA_CLASS, object_class), Attribute(CKA_KEY_TYPE, key_type_), Attribute(CKA_TOKEN, kTrue),
            Attribute(CKA_ID, key_.id), Attribute(CKA_LABEL, AsBytes(key_.label))};
  }

  std::vector<CK_ATTRIBUTE> PrivateTemplate(const AttributeTypes& left_out) const {
    static constexpr CK_OBJECT_CLASS kPrivate = CKO_PRIVATE_KEY;
    auto attributes = Template(kPrivate);
    const auto custody = CustodyTemplate(left_out);
    attributes.insert(attributes.end(), custody.begin(), custody.end());
    return attributes;
  }

  Status Unwrap(const WrappingKey& wrapping_key, const KeyWrapping& wrapping, const AttributeTypes& left_out) {
    Bytes iv(wrapping.has_iv ? kAesBlock : 0);
    if (RAND_bytes(iv.data(), static_cast<int>(iv.size())) != 1) {
      return OpenSslFailed("RAND_bytes");
    }
    ASSIGN_OR_RETURN(auto wrapped, Encrypt(wrapping, wrapping_key.value.view(), iv, private_key_.pkcs8.view()));
    CK_MECHANISM mechanism{
        .mechanism = wrapping.type, .pParameter = iv.empty() ? nullptr : iv.data(), .ulParameterLen = iv.size()};
    auto attributes = PrivateTemplate(left_out);
    CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;  // not used, as above
    RETURN_IF_ERROR(UnwrapWith(wrapping_key.handle, mechanism, wrapped, attributes, made));
    return CreatePublicHalf();
  }

  Status Create(const AttributeTypes& left_out) {
    auto attributes = PrivateTemplate(left_out);
    const auto& numbers = private_key_.numbers;
    if (curve_ != nullptr) {
      attributes.push_back(Attribute(CKA_EC_PARAMS, AsBytes(curve_->ec_params)));
      attributes.push_back(Attribute(CKA_VALUE, numbers.front()));
    } else {
      const auto& rsa = std::get<RsaPublicKey>(private_key_.public_key);
      attributes.push_back(Attribute(CKA_MODULUS, rsa.modulus));
      attributes.push_back(Attribute(CKA_PUBLIC_EXPONENT, rsa.exponent));
      static constexpr std::array kTypes = {CKA_PRIVATE_EXPONENT, CKA_PRIME_1,    CKA_PRIME_2,
                                            CKA_EXPONENT_1,       CKA_EXPONENT_2, CKA_COEFFICIENT};
      for (std::size_t i = 0; i < kTypes.size(); ++i) {
        attributes.push_back(Attribute(kTypes.at(i), numbers.at(i)));
      }
    }
    RETURN_IF_ERROR(CreateObject(attributes));
    return CreatePublicHalf();
  }

  // A failure must not look as if the private key's template were the reason: that key is already on the token.
  Status CreatePublicHalf() {
    static constexpr CK_OBJECT_CLASS kPublic = CKO_PUBLIC_KEY;
    auto attributes = Template(kPublic);
    Bytes point;
    if (const auto* half = std::get_if<CurvePublicKey>(&private_key_.public_key)) {
      point = PointOf(*half);
      attributes.push_back(Attribute(CKA_EC_PARAMS, AsBytes(half->curve->ec_params)));
      attributes.push_back(Attribute(CKA_EC_POINT, point));
    } else {
      const auto& rsa = std::get<RsaPublicKey>(private_key_.public_key);
      attributes.push_back(Attribute(CKA_WRAP, kFalse));
      attributes.push_back(Attribute(CKA_MODULUS, rsa.modulus));
      attributes.push_back(Attribute(CKA_PUBLIC_EXPONENT, rsa.exponent));
    }
    auto created = CreateObject(attributes);
    if (!created && created.error().code == Code::kTemplateRefused) {
      created.error().code = Code::kInternal;
    }
    return created;
  }

  // CKA_EC_POINT: the point in an OCTET STRING (PKCS#11 v2.40 section 2.3.3), which has at most 255 octets here.
  static Bytes PointOf(const CurvePublicKey& half) {
    constexpr std::uint8_t kUncompressed = 0x04;
    constexpr std::size_t kLongLength = 128;
    Bytes octets;
    if (half.curve->key_type == &kEc) {
      octets.push_back(kUncompressed);
    }
    octets.insert(octets.end(), half.x.begin(), half.x.end());
    octets.insert(octets.end(), half.y.begin(), half.y.end());
    Bytes point = {0x04};
    if (octets.size() >= kLongLength) {
      point.push_back(0x81);
    }
    point.push_back(static_cast<std::uint8_t>(octets.size()));
    point.insert(point.end(), octets.begin(), octets.end());
    return point;
  }

  Session& session_;
  const NewKey& key_;
  const PrivateKey& private_key_;
  const Curve* const curve_;
  const CK_KEY_TYPE key_type_;
};

}  // namespace

Result<Birth> ImportTokenKey(Session& session, const NewKey& key, const PrivateKey& private_key,
                             const AttributeNames& accepted) {
  KeyImport import(session, key, private_key);
  auto unwrapped = MakeTokenKey(session, key, [&] { return import.NegotiateUnwrap(); }, accepted, /*imported=*/true);
  if (unwrapped) {
    return unwrapped;
  }
  // Some tokens unwrap keys without the attributes that they were asked for (openCryptoki, NSS).
  auto created = MakeTokenKey(session, key, [&] { return import.NegotiateCreate(); }, accepted, /*imported=*/true);
  if (!created) {
    created.error().detail += "; by C_UnwrapKey before: " + unwrapped.error().ToString();
  }
  return created;
}

}  // namespace assertion::p11
