#include "policy/service_account_token.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "assertion/foreign_text.h"
#include "assertion/reserved_claims.h"
#include "jws/base64url.h"
#include "jws/object_text.h"

namespace assertion {
namespace {

constexpr std::size_t kMostOfAClaim = 80;  // octets of a claim
constexpr std::size_t kLongestJti = 255;

std::unexpected<Error> WrongClaims(const std::string& why) { return Fail(Code::kInvalidArgument, "claims: " + why); }

std::string Cited(std::string_view text) { return assertion::Quoted(text, kMostOfAClaim); }

// Go's JSON readers take "Exp" for exp, and the last of both counts.
Status RefuseSecondNames(const jws::ObjectText& claims) {
  static constexpr std::array<std::string_view, 7> kNames = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti"};
  for (const auto& member : claims.members) {
    const auto* const taken_for =
        std::ranges::find_if(kNames, [&](auto name) { return member.name != name && IsClaim(member.name, name); });
    if (taken_for != kNames.end()) {
      return WrongClaims(Cited(member.name) + " can be taken for " + std::string(*taken_for));
    }
  }
  return {};
}

// Empty when the claim is absent, no text, or an empty one.
std::string Text(const jws::ObjectText& claims, std::string_view name) {
  const auto value = claims.Find(name);
  const auto json = value ? nlohmann::json::parse(*value, nullptr, /*allow_exceptions=*/false) : nlohmann::json();
  return json.is_string() ? json.get<std::string>() : std::string();
}

Result<Time> Instant(const jws::ObjectText& claims, const std::string& name) {
  constexpr std::size_t kMostDigits = 12;
  const auto value = claims.Find(name).value_or("");
  std::int64_t since_epoch = 0;
  const std::string digits(value);
  const auto* const end = digits.data() + digits.size();
  if (digits.empty() || digits.size() > kMostDigits || digits.front() == '-' ||
      std::from_chars(digits.data(), end, since_epoch).ptr != end) {
    return WrongClaims(name + " must be a whole number of seconds");
  }
  return Time(std::chrono::seconds(since_epoch));
}

bool IsServiceAccount(std::string_view subject) {
  constexpr std::string_view kPrefix = "system:serviceaccount:";
  constexpr std::size_t kLongestNamespace = 63;
  constexpr std::size_t kLongestName = 253;
  const auto is_name = [](std::string_view name, std::size_t longest) {
    return !name.empty() && name.size() <= longest && std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    });
  };
  if (!subject.starts_with(kPrefix)) {
    return false;
  }
  subject.remove_prefix(kPrefix.size());
  const auto colon = std::min(subject.find(':'), subject.size());
  return is_name(subject.substr(0, colon), kLongestNamespace) && colon < subject.size() &&
         is_name(subject.substr(colon + 1), kLongestName);
}

// The audience of a token for one, else the JSON array. The line of a token for the one audience ["a","b"] must not
// read like that of a token for a and b, so a text that could be taken for JSON is a list of one.
std::string AudienceText(const std::string& only) {
  return only.starts_with('[') || only.starts_with('"') ? nlohmann::json::array({only}).dump() : only;
}

Result<std::string> AudienceOf(const jws::ObjectText& claims) {
  const auto json = nlohmann::json::parse(claims.Find("aud").value_or("null"), nullptr, /*allow_exceptions=*/false);
  const auto is_audience = [](const nlohmann::json& one) {
    return one.is_string() && !one.get_ref<const std::string&>().empty();
  };
  if (is_audience(json)) {
    return AudienceText(json.get<std::string>());
  }
  if (!json.is_array() || json.empty() || !std::ranges::all_of(json, is_audience)) {
    return WrongClaims("aud must be a text, or a list of texts, and none of them empty");
  }
  return json.size() == 1 ? AudienceText(json.front().get<std::string>()) : json.dump();
}

Status CheckLifetime(const KubernetesSigner& signer, Time issued_at, Time expires_at, Time now) {
  const auto lifetime = expires_at - issued_at;
  if (expires_at <= now) {
    return WrongClaims("exp has passed");
  }
  if (lifetime <= std::chrono::seconds(0)) {
    return WrongClaims("exp must be later than iat");
  }
  if (lifetime > signer.max_lifetime || expires_at > now + signer.max_lifetime + KubernetesSigner::kClockSkew) {
    const auto longest = std::to_string(signer.max_lifetime.count());
    return WrongClaims("exp: a token lives at most " + longest + " s (kubernetes_signer.max_lifetime): " +
                       "kube-apiserver must not have a longer --service-account-max-token-expiration");
  }
  return {};
}

}  // namespace

Result<ServiceAccountToken> ServiceAccountToken::Vet(const KubernetesSigner& signer, std::string_view segment,
                                                     Time now) {
  constexpr std::size_t kMostEncoded = (kMostOctets * 4 + 2) / 3;
  if (segment.size() > kMostEncoded) {
    return WrongClaims("more than " + std::to_string(kMostOctets) + " octets of JSON");
  }
  const auto octets = jws::Base64UrlDecode(segment);
  if (!octets) {
    return WrongClaims(octets.error().message);
  }
  ServiceAccountToken token{.json = {octets->begin(), octets->end()},
                            .subject = {},
                            .audience = {},
                            .jti = {},
                            .issued_at = {},
                            .expires_at = {}};
  const auto claims = jws::ParseObjectText(token.json);
  if (!claims) {
    return WrongClaims("not a JSON object that is signed: " + claims.error().message);
  }
  RETURN_IF_ERROR(RefuseSecondNames(*claims));
  if (const auto issuer = Text(*claims, "iss"); issuer != signer.issuer) {
    return WrongClaims("iss is " + Cited(issuer) + ", not the configured " + Cited(signer.issuer) +
                       ": kube-apiserver's --service-account-issuer and kubernetes_signer.issuer must be the same");
  }
  token.subject = Text(*claims, "sub");
  if (!IsServiceAccount(token.subject)) {
    return WrongClaims("sub must be system:serviceaccount:NAMESPACE:NAME");
  }
  ASSIGN_OR_RETURN(token.audience, AudienceOf(*claims));
  ASSIGN_OR_RETURN(token.issued_at, Instant(*claims, "iat"));
  ASSIGN_OR_RETURN(token.expires_at, Instant(*claims, "exp"));
  RETURN_IF_ERROR(CheckLifetime(signer, token.issued_at, token.expires_at, now));
  token.jti = Text(*claims, "jti");
  if (claims->Find("jti") && (token.jti.empty() || token.jti.size() > kLongestJti)) {
    return WrongClaims("jti must be a text of 1 to " + std::to_string(kLongestJti) + " octets");
  }
  return token;
}

}  // namespace assertion
