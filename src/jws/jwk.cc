#include "jws/jwk.h"

#include <string>
#include <utility>

#include "jws/base64url.h"
#include "jws/thumbprint.h"

namespace assertion::jws {
namespace {

Result<Bytes> Member(const nlohmann::json& jwk, const char* name) {
  const auto member = jwk.find(name);
  auto octets = member != jwk.end() && member->is_string() ? Base64UrlDecode(member->get_ref<const std::string&>())
                                                           : Fail(Code::kInvalidArgument, "missing");
  return octets && !octets->empty()
             ? std::move(octets)
             : Fail(Code::kInvalidArgument, std::string("the JWK's member ") + name + " is not base64url");
}

// RFC 7518 section 2, Base64urlUInt: no leading zero octets.
Result<Bytes> Number(const nlohmann::json& jwk, const char* name) {
  auto octets = Member(jwk, name);
  return !octets || octets->front() != 0
             ? std::move(octets)
             : Fail(Code::kInvalidArgument, std::string("the JWK's member ") + name + " is not a Base64urlUInt");
}

// RFC 7518 section 6.2.1.2: as long as the curve's coordinates, leading zero octets included.
Result<Bytes> Coordinate(const nlohmann::json& jwk, const char* name, const Curve& curve) {
  auto octets = Member(jwk, name);
  return !octets || octets->size() == curve.octets
             ? std::move(octets)
             : Fail(Code::kInvalidArgument,
                    std::string("the JWK's member ") + name + " has not the length of " + std::string(curve.name));
}

Result<PublicKey> ParseRsa(const nlohmann::json& jwk) {
  auto modulus = Number(jwk, "n");
  auto exponent = Number(jwk, "e");
  if (!modulus || !exponent) {
    return std::unexpected(modulus ? exponent.error() : modulus.error());
  }
  return RsaPublicKey{.modulus = std::move(*modulus), .exponent = std::move(*exponent)};
}

Result<PublicKey> ParsePoint(const nlohmann::json& jwk, const Curve& curve) {
  auto x = Coordinate(jwk, "x", curve);
  auto y = curve.key_type == &kEc ? Coordinate(jwk, "y", curve) : Bytes();
  if (!x || !y) {
    return std::unexpected(x ? y.error() : x.error());
  }
  return CurvePublicKey{.curve = &curve, .x = std::move(*x), .y = std::move(*y)};
}

}  // namespace

nlohmann::json RequiredMembers(const PublicKey& key) {
  if (const auto* rsa = std::get_if<RsaPublicKey>(&key)) {
    return {{"kty", kRsa.name}, {"n", Base64UrlEncode(rsa->modulus)}, {"e", Base64UrlEncode(rsa->exponent)}};
  }
  const auto& point = std::get<CurvePublicKey>(key);
  nlohmann::json members = {
      {"kty", point.curve->key_type->name}, {"crv", point.curve->name}, {"x", Base64UrlEncode(point.x)}};
  if (!point.y.empty()) {
    members["y"] = Base64UrlEncode(point.y);
  }
  return members;
}

nlohmann::ordered_json X5c(std::span<const Certificate> chain) {
  auto x5c = nlohmann::ordered_json::array();
  for (const auto& certificate : chain) {
    x5c.push_back(Base64Encode(certificate.der));
  }
  return x5c;
}

nlohmann::ordered_json Jwk(const PublicKey& key, const Algorithm& algorithm, std::span<const Certificate> chain) {
  const auto members = RequiredMembers(key);
  nlohmann::ordered_json jwk = {
      {"kty", members["kty"]}, {"use", "sig"}, {"alg", algorithm.name}, {"kid", JwkThumbprint(key)}};
  for (const auto& [name, value] : members.items()) {
    jwk[name] = value;
  }
  if (!chain.empty()) {
    jwk["x5c"] = X5c(chain);
    jwk["x5t#S256"] = Sha256Thumbprint(chain.front().der);
  }
  return jwk;
}

Result<PublicKey> ParseJwk(const nlohmann::json& jwk) {
  if (!jwk.is_object()) {
    return Fail(Code::kInvalidArgument, "the JWK is not a JSON object");
  }
  for (const auto* name : {"d", "p", "q", "dp", "dq", "qi", "oth"}) {
    if (jwk.contains(name)) {
      return Fail(Code::kInvalidArgument, std::string("the JWK has the private member ") + name);
    }
  }
  const auto kty = jwk.value("kty", nlohmann::json());
  if (kty == kRsa.name) {
    return ParseRsa(jwk);
  }
  const auto crv = jwk.value("crv", nlohmann::json());
  for (const auto& curve : kCurves) {
    if (kty == curve.key_type->name && crv == curve.name) {
      return ParsePoint(jwk, curve);
    }
  }
  return Fail(Code::kInvalidArgument, "the JWK is of another kind than RSA, P-256, P-384, P-521 and Ed25519");
}

}  // namespace assertion::jws
