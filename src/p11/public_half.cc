#include "p11/public_half.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"

namespace assertion::p11 {
namespace {

Bytes WithoutLeadingZeros(Bytes number) {
  number.erase(number.begin(), std::ranges::find_if(number, [](auto octet) { return octet != 0; }));
  return number;
}

Result<Bytes> ReadRequired(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, const char* name) {
  ASSIGN_OR_RETURN(auto value, session.Read(object, type));
  if (!value) {
    return Fail(Code::kKeyUnproven, std::string("the token does not show ") + name + " of a key");
  }
  return std::move(*value);
}

Result<CK_KEY_TYPE> ReadKeyType(Session& session, CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(const auto value, ReadRequired(session, object, CKA_KEY_TYPE, "CKA_KEY_TYPE"));
  CK_KEY_TYPE type{};
  if (value.size() != sizeof type) {
    return Fail(Code::kKeyUnproven, "the token does not show CKA_KEY_TYPE of a key as a number");
  }
  std::memcpy(&type, value.data(), sizeof type);
  return type;
}

bool IsOnCurve(CK_KEY_TYPE type) { return type == kEc.pkcs11_key_type || type == kOkp.pkcs11_key_type; }

std::unexpected<Error> UnknownKeyType() {
  return Fail(Code::kKeyForbidden, "it is neither an RSA key nor one on a curve");
}

Status CheckModulus(const Bytes& modulus) {
  if (WithoutLeadingZeros(modulus).empty()) {
    return Fail(Code::kKeyUnproven, "the token shows a CKA_MODULUS of 0 of a key");
  }
  return {};
}

Result<RsaPublicKey> ReadRsaKey(Session& session, CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(auto modulus, ReadRequired(session, object, CKA_MODULUS, "CKA_MODULUS"));
  ASSIGN_OR_RETURN(auto exponent, ReadRequired(session, object, CKA_PUBLIC_EXPONENT, "CKA_PUBLIC_EXPONENT"));
  RETURN_IF_ERROR(CheckModulus(modulus));
  return RsaPublicKey{.modulus = WithoutLeadingZeros(std::move(modulus)),
                      .exponent = WithoutLeadingZeros(std::move(exponent))};
}

const Curve* CurveOf(const Bytes& ec_params) {
  const std::string_view value(reinterpret_cast<const char*>(ec_params.data()), ec_params.size());
  const auto* curve = FindCurve(value, &Curve::ec_params);
  return curve != nullptr || value.empty() ? curve : FindCurve(value, &Curve::other_ec_params);
}

// The curve that the object names. kKeyForbidden: not one of ours, or not one for keys of this type.
Result<const Curve*> ReadCurve(Session& session, CK_OBJECT_HANDLE object, CK_KEY_TYPE type) {
  ASSIGN_OR_RETURN(const auto parameters, ReadRequired(session, object, CKA_EC_PARAMS, "CKA_EC_PARAMS"));
  const auto* curve = CurveOf(parameters);
  if (curve == nullptr || curve->key_type->pkcs11_key_type != type) {
    return Fail(Code::kKeyForbidden, "it is on another curve than P-256, P-384, P-521 and Ed25519",
                "CKA_EC_PARAMS: " + Hex(parameters));
  }
  return curve;
}

// The point in a CKA_EC_POINT that should have `size` octets. PKCS#11 v2.40 section 2.3.3 wraps it in an OCTET STRING;
// some modules do not. Empty when it is neither.
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
  ASSIGN_OR_RETURN(const auto point, ReadRequired(session, object, CKA_EC_POINT, "CKA_EC_POINT"));
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

// A flaw of the object is an error here.
Result<PublicKey> ReadUsablePublicKey(Session& session, CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(const auto type, ReadKeyType(session, object));
  if (type == kRsa.pkcs11_key_type) {
    return ReadRsaKey(session, object);
  }
  if (!IsOnCurve(type)) {
    return UnknownKeyType();
  }
  ASSIGN_OR_RETURN(const auto* const curve, ReadCurve(session, object, type));
  return ReadPoint(session, object, *curve);
}

// Appends those of `halves` for which `fits` holds, each public key once.
template <typename Fits>
Status AppendFitting(Session& session, const std::vector<CK_OBJECT_HANDLE>& halves, const Fits& fits,
                     std::vector<PublicKey>& candidates) {
  for (const auto half : halves) {
    ASSIGN_OR_RETURN(auto key, ReadPublicKey(session, half));
    if (key && fits(*key) && std::ranges::find(candidates, *key) == candidates.end()) {
      candidates.push_back(std::move(*key));
    }
  }
  return {};
}

Result<std::vector<PublicKey>> ReadRsaCandidates(Session& session, CK_OBJECT_HANDLE private_half,
                                                 const std::vector<CK_OBJECT_HANDLE>& halves) {
  auto shown = ReadRequired(session, private_half, CKA_MODULUS, "CKA_MODULUS");
  if (!shown) {
    return IsFlaw(shown.error()) ? NotOnePair(shown.error().message) : std::unexpected(shown.error());
  }
  RETURN_IF_ERROR(CheckModulus(*shown));
  const auto modulus = WithoutLeadingZeros(std::move(*shown));
  const auto exponent = session.Read(private_half, CKA_PUBLIC_EXPONENT);
  RETURN_IF_ERROR(exponent);
  if (exponent->has_value() && !exponent->value().empty()) {
    return std::vector<PublicKey>{RsaPublicKey{.modulus = modulus, .exponent = WithoutLeadingZeros(exponent->value())}};
  }
  std::vector<PublicKey> candidates;
  const auto same_modulus = [&](const PublicKey& key) {
    const auto* rsa = std::get_if<RsaPublicKey>(&key);
    return rsa != nullptr && rsa->modulus == modulus;
  };
  RETURN_IF_ERROR(AppendFitting(session, halves, same_modulus, candidates));
  // Anybody may destroy the public half, and the exponent is 65537 in every pair that assertiond makes.
  if (PublicKey usual = RsaPublicKey{.modulus = modulus, .exponent = {1, 0, 1}};
      std::ranges::find(candidates, usual) == candidates.end()) {
    candidates.push_back(std::move(usual));
  }
  return candidates;
}

Result<std::vector<PublicKey>> ReadCurveCandidates(Session& session, CK_OBJECT_HANDLE private_half, CK_KEY_TYPE type,
                                                   const std::vector<CK_OBJECT_HANDLE>& halves) {
  ASSIGN_OR_RETURN(const auto* const curve, ReadCurve(session, private_half, type));
  std::vector<PublicKey> candidates;
  if (auto own = ReadPoint(session, private_half, *curve)) {
    candidates.emplace_back(std::move(*own));
  } else if (!IsFlaw(own.error())) {
    return std::unexpected(own.error());
  }
  const auto same_curve = [&](const PublicKey& key) {
    const auto* point = std::get_if<CurvePublicKey>(&key);
    return point != nullptr && point->curve == curve;
  };
  RETURN_IF_ERROR(AppendFitting(session, halves, same_curve, candidates));
  return candidates;
}

}  // namespace

bool IsFlaw(const Error& error) {
  return error.code == Code::kKeyForbidden || error.code == Code::kKeyUnproven || error.code == Code::kKeyAmbiguous;
}

std::unexpected<Error> NotOnePair(std::string detail) {
  return Fail(Code::kKeyUnproven, "its private and its public key are not two halves of one pair", std::move(detail));
}

Result<std::optional<PublicKey>> ReadPublicKey(Session& session, CK_OBJECT_HANDLE object) {
  auto key = ReadUsablePublicKey(session, object);
  if (!key && !IsFlaw(key.error())) {
    return std::unexpected(key.error());
  }
  return key ? std::optional(std::move(*key)) : std::nullopt;
}

Result<std::vector<PublicKey>> ReadCandidates(Session& session, CK_OBJECT_HANDLE private_half,
                                              const std::vector<CK_OBJECT_HANDLE>& halves) {
  ASSIGN_OR_RETURN(const auto type, ReadKeyType(session, private_half));
  if (type == kRsa.pkcs11_key_type) {
    return ReadRsaCandidates(session, private_half, halves);
  }
  return IsOnCurve(type) ? ReadCurveCandidates(session, private_half, type, halves) : UnknownKeyType();
}

}  // namespace assertion::p11
