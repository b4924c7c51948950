#include "jws/jwk.h"

#include <array>
#include <string>

#include "jws/base64url.h"
#include "jws/thumbprint.h"

namespace assertion::jws {

nlohmann::ordered_json Jwk(const PublicKey& key, const Algorithm& algorithm, std::span<const Certificate> chain) {
  nlohmann::ordered_json jwk = {{"kty", "RSA"},
                                {"use", "sig"},
                                {"alg", algorithm.name},
                                {"kid", JwkThumbprint(key)},
                                {"n", Base64UrlEncode(key.modulus)},
                                {"e", Base64UrlEncode(key.exponent)}};
  if (!chain.empty()) {
    auto& x5c = jwk["x5c"] = nlohmann::ordered_json::array();
    for (const auto& certificate : chain) {
      x5c.push_back(Base64Encode(certificate.der));
    }
    jwk["x5t#S256"] = Sha256Thumbprint(chain.front().der);
  }
  return jwk;
}

Result<PublicKey> ParseJwk(const nlohmann::json& jwk) {
  if (!jwk.is_object() || jwk.value("kty", nlohmann::json()) != "RSA") {
    return Fail(Code::kInvalidArgument, "the JWK is not an RSA key");
  }
  for (const auto* name : {"d", "p", "q", "dp", "dq", "qi", "oth"}) {
    if (jwk.contains(name)) {
      return Fail(Code::kInvalidArgument, std::string("the JWK has the private member ") + name);
    }
  }
  std::array<Bytes, 2> numbers;
  for (const auto& [name, number] : {std::pair{"n", numbers.data()}, {"e", &numbers[1]}}) {
    const auto member = jwk.find(name);
    auto octets = member != jwk.end() && member->is_string() ? Base64UrlDecode(member->get_ref<const std::string&>())
                                                             : Fail(Code::kInvalidArgument, "missing");
    // RFC 7518 section 2, Base64urlUInt: no leading zero octets.
    if (!octets || octets->empty() || octets->front() == 0) {
      return Fail(Code::kInvalidArgument, std::string("the JWK's member ") + name + " is not a Base64urlUInt");
    }
    *number = std::move(*octets);
  }
  return PublicKey{.modulus = std::move(numbers[0]), .exponent = std::move(numbers[1])};
}

}  // namespace assertion::jws
