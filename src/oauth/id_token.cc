#include "oauth/id_token.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "assertion/foreign_text.h"
#include "jws/base64url.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "x509/verifier.h"

namespace assertion::oauth {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::int64_t kLeeway = 60;   // seconds that clocks may differ by
constexpr std::int64_t kOldest = 300;  // seconds since a token was issued that was asked for just now
constexpr std::size_t kMostOfClaim = 200;
constexpr std::size_t kLongestSubject = 255;
constexpr int kLeastRsaBits = 2048;

std::string TextOf(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string ShownMember(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? "missing"
                               : Shown(found->dump(-1, ' ', false, json::error_handler_t::replace), kMostOfClaim);
}

std::optional<std::int64_t> SecondsOf(const ordered_json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_number_integer() ||
      (found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX)) {
    return std::nullopt;
  }
  return found->get<std::int64_t>();
}

// True when the JWK may verify signatures of this algorithm (RFC 7517 sections 4.2 to 4.4).
bool MayVerify(const json& jwk, const ordered_json& header, const Algorithm& algorithm) {
  const auto kid = header.find("kid");
  return jwk.is_object() && (kid == header.end() || jwk.value("kid", json()) == json(*kid)) &&
         jwk.value("use", json("sig")) == "sig" && jwk.value("alg", json(algorithm.name)) == algorithm.name;
}

// The one key of the set that the header means. With no kid there must be only one that fits. kNotFound: there is none.
Result<PublicKey> KeyOf(const json& jwks, const ordered_json& header, const Algorithm& algorithm) {
  std::optional<PublicKey> found;
  if (jwks.is_object() && jwks.contains("keys") && jwks["keys"].is_array()) {
    for (const auto& jwk : jwks["keys"]) {
      const auto key = MayVerify(jwk, header, algorithm) ? jws::ParseJwk(jwk) : Fail(Code::kNotFound, "");
      if (!key || !Fits(*key, algorithm)) {
        continue;
      }
      if (found) {
        return Fail(Code::kInvalidArgument, "several keys of the provider's JWK Set fit: the header needs a kid");
      }
      found = *key;
    }
  }
  if (!found) {
    return Fail(Code::kNotFound, "no key of the provider's JWK Set has kid " + ShownMember(header, "kid") +
                                     " and fits alg " + std::string(algorithm.name));
  }
  if (CurveOf(*found) == nullptr && KeyBits(*found) < kLeastRsaBits) {
    return Fail(Code::kInvalidArgument, "the RSA key has fewer than 2048 bits");
  }
  return *std::move(found);
}

Check CheckSignature(const jws::Unverified& token, const json& jwks, const Algorithm* algorithm) {
  const auto wrong = [](std::string text, Mistake mistake = Mistake::kOther) {
    return Check{.name = "signature", .wrong = std::move(text), .mistake = mistake};
  };
  if (algorithm == nullptr) {
    return wrong("the signature is not checked: alg is refused");
  }
  if (token.header.contains("crit")) {
    return wrong("the header has crit, of which nothing is understood");
  }
  const auto key = KeyOf(jwks, token.header, *algorithm);
  if (!key) {
    return wrong(key.error().message, key.error().code == Code::kNotFound ? Mistake::kOtherKey : Mistake::kOther);
  }
  const auto verifier = x509::Verifier::New(*key, *algorithm);
  if (!verifier) {
    return wrong(verifier.error().message);
  }
  return verifier->Verify(token.signing_input, token.signature)
             ? wrong("")
             : wrong("the signature is not by this key of the provider: another key signed, or the token was changed",
                     Mistake::kOtherKey);
}

std::string WrongAudience(const ordered_json& claims, const std::string& client_id) {
  const auto aud = claims.find("aud");
  if (aud != claims.end() && *aud == client_id) {
    return "";
  }
  if (aud == claims.end() || !aud->is_array() || std::ranges::find(*aud, ordered_json(client_id)) == aud->end()) {
    return "aud is " + ShownMember(claims, "aud") + ": the token is for another client";
  }
  return aud->size() > 1 && !claims.contains("azp") ? "aud has several members, and azp is missing" : "";
}

Check CheckExpiry(const ordered_json& claims, std::int64_t now) {
  const auto exp = SecondsOf(claims, "exp");
  if (!exp) {
    return {.name = "exp", .wrong = "exp is " + ShownMember(claims, "exp")};
  }
  return {.name = "exp",
          .wrong =
              *exp > now - kLeeway ? "" : "it expired " + std::to_string(now - *exp) + " s ago by this machine's clock",
          .mistake = Mistake::kClock};
}

Check CheckIssueTime(const ordered_json& claims, std::int64_t now) {
  const auto iat = SecondsOf(claims, "iat");
  if (!iat || *iat < 0) {
    return {.name = "iat", .wrong = "iat is " + ShownMember(claims, "iat")};
  }
  std::string wrong;
  if (*iat > now + kLeeway) {
    wrong =
        "it was issued " + std::to_string(*iat - now) + " s in the future: set this machine's or the server's clock";
  } else if (*iat < now - kOldest) {
    wrong = "it was issued " + std::to_string(now - *iat) +
            " s ago, though it was asked for just now: set this machine's or the server's clock";
  }
  return {.name = "iat", .wrong = std::move(wrong), .mistake = Mistake::kClock};
}

// base64url of the left half of the hash that alg uses (section 3.1.3.6). EdDSA with Ed25519 hashes with SHA-512.
std::string HalfHash(const Algorithm& algorithm, const std::string& text) {
  const std::string name(algorithm.digest == nullptr ? "SHA512" : std::string(algorithm.digest->name));
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  std::size_t size = 0;
  if (EVP_Q_digest(nullptr, name.c_str(), nullptr, text.data(), text.size(), hash.data(), &size) != 1) {
    return "";
  }
  return jws::Base64UrlEncode(BytesView(hash).first(size / 2));
}

// Optional in this flow, but never wrong.
std::string WrongHash(const ordered_json& claims, const char* name, const Algorithm* algorithm,
                      const std::string& text) {
  if (!claims.contains(name)) {
    return "";
  }
  if (algorithm == nullptr) {
    return std::string(name) + " is not checked: alg is refused";
  }
  const auto hash = HalfHash(*algorithm, text);
  return !hash.empty() && claims[name] == hash
             ? ""
             : std::string(name) + " is of another " + (std::string_view(name) == "c_hash" ? "code" : "access token");
}

}  // namespace

bool CheckedIdToken::good() const {
  return !checks.empty() && std::ranges::all_of(checks, [](const Check& check) { return check.wrong.empty(); });
}

CheckedIdToken CheckIdToken(std::string_view text, const json& jwks, const ExpectedIdToken& expected) {
  const auto token = jws::ParseCompact(text);
  if (!token) {
    return {.checks = {{"form", "it is no JWS: " + token.error().message}}, .header = {}, .claims = {}};
  }
  const auto& claims = token->claims;
  const auto now = static_cast<std::int64_t>(expected.now.time_since_epoch().count());
  const auto* algorithm = FindAlgorithm(TextOf(token->header, "alg"));
  CheckedIdToken checked{.checks = {}, .header = token->header, .claims = claims};
  const auto check = [&](const char* name, std::string wrong) { checked.checks.push_back({name, std::move(wrong)}); };
  const auto equal = [&](const char* name, const std::string& wanted, const char* hint) {
    check(name, TextOf(claims, name) == wanted && !wanted.empty()
                    ? ""
                    : std::string(name) + " is " + ShownMember(claims, name) + ": " + hint);
  };
  check("alg", algorithm != nullptr ? ""
                                    : "alg is " + ShownMember(token->header, "alg") +
                                          ": only signatures by a private key are taken (" + AlgorithmNames() + ")");
  checked.checks.push_back(CheckSignature(*token, jwks, algorithm));
  equal("iss", expected.issuer, "the token is another provider's");
  check("aud", WrongAudience(claims, expected.client_id));
  check("azp", !claims.contains("azp") || claims["azp"] == expected.client_id
                   ? ""
                   : "azp is " + ShownMember(claims, "azp") + ": the token was issued to another client");
  const auto subject = TextOf(claims, "sub");
  check("sub", !subject.empty() && subject.size() <= kLongestSubject ? "" : "sub is " + ShownMember(claims, "sub"));
  checked.checks.push_back(CheckExpiry(claims, now));
  checked.checks.push_back(CheckIssueTime(claims, now));
  equal("nonce", expected.nonce, "the token belongs to another log-in (replay)");
  check("at_hash", WrongHash(claims, "at_hash", algorithm, expected.access_token));
  check("c_hash", WrongHash(claims, "c_hash", algorithm, expected.code));
  return checked;
}

}  // namespace assertion::oauth
