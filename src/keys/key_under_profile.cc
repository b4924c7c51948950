#include "keys/key_under_profile.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "assertion/signing_input.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "keys/signing_key.h"
#include "x509/verifier.h"

namespace assertion {
namespace {

std::unexpected<Error> Lacks(const SigningKey& key, const std::string& what) {
  return Fail(Code::kFailedPrecondition, "client '" + key.client_id + "' cannot sign: key " + key.kid + " has " + what);
}

std::unexpected<Error> LacksCertificate(const SigningKey& key, std::string_view needed_for) {
  return Lacks(key, "no certificate, which its profile needs for " + std::string(needed_for) +
                        ": assertionctl key import-certificate");
}

// The kid of the header; empty: none.
Result<std::string> KidOf(const SigningKey& key, const Profile& profile) {
  switch (profile.kid) {
    case KidForm::kNone:
      return std::string();
    case KidForm::kThumbprint:
      return key.kid;
    case KidForm::kX5t:
    case KidForm::kX5tS256:
      if (key.chain.empty()) {
        return LacksCertificate(key, "kid");
      }
      return profile.kid == KidForm::kX5t ? jws::Sha1Thumbprint(key.chain.front().der)
                                          : jws::Sha256Thumbprint(key.chain.front().der);
    case KidForm::kAssigned:
      break;
  }
  const auto assigned = profile.kids.find(key.kid);
  if (assigned == profile.kids.end()) {
    return Lacks(key, "no kid of the other party: add it to the client's field kids");
  }
  return assigned->second;
}

Status AddMember(nlohmann::ordered_json& header, HeaderMember member, const SigningKey& key, const Profile& profile) {
  const auto name = std::string(NameOf(kHeaderMembers, member));
  if (member == HeaderMember::kJku) {
    header[name] = profile.jku;
    return {};
  }
  if (member == HeaderMember::kJwk) {
    header[name] = jws::RequiredMembers(key.public_key);
    return {};
  }
  if (key.chain.empty()) {
    return LacksCertificate(key, name);
  }
  if (member == HeaderMember::kX5c) {
    header[name] = jws::X5c(key.chain);
    return {};
  }
  const auto& leaf = key.chain.front().der;
  header[name] = member == HeaderMember::kX5t ? jws::Sha1Thumbprint(leaf) : jws::Sha256Thumbprint(leaf);
  return {};
}

}  // namespace

Result<std::shared_ptr<const KeyUnderProfile>> KeyUnderProfile::New(const SigningKey& key,
                                                                    std::shared_ptr<const Profile> profile) {
  auto made = std::make_shared<KeyUnderProfile>();
  ASSIGN_OR_RETURN(auto kid, KidOf(key, *profile));
  nlohmann::ordered_json header = {{"alg", key.algorithm->name}};
  if (!kid.empty()) {
    header["kid"] = kid;
  }
  if (!profile->typ.empty()) {
    header["typ"] = profile->typ;
  }
  for (const auto member : profile->header) {
    RETURN_IF_ERROR(AddMember(header, member, key, *profile));
  }
  made->encoded_header = jws::EncodedHeader(header);
  const auto set = [&](TemplateWord word, std::string value) {
    made->words.at(static_cast<std::size_t>(word)) = std::move(value);
  };
  set(TemplateWord::kKid, std::move(kid));
  set(TemplateWord::kX5tS256, key.chain.empty() ? std::string() : jws::Sha256Thumbprint(key.chain.front().der));
  set(TemplateWord::kFingerprint, jws::Sha256Fingerprint(x509::SubjectPublicKeyInfo(key.public_key)));
  made->profile = std::move(profile);
  return made;
}

std::string WaitsFor(const SigningKey& key, const Profile& profile) {
  if (profile.kid == KidForm::kAssigned && !profile.kids.contains(key.kid)) {
    return "a kid in clients[].kids";
  }
  if (!key.chain.empty()) {
    return "";  // nothing but a certificate can be missing, and texts for all clients' keys take long
  }
  return KeyUnderProfile::New(key, std::make_shared<const Profile>(profile)) ? "" : "a certificate";
}

Result<std::shared_ptr<const KeyUnderProfile>> KeptKeyUnderProfile::Get(
    const SigningKey& key, const std::shared_ptr<const Profile>& profile) const {
  auto& slot = kept_.at(static_cast<std::size_t>(profile->purpose));
  auto kept = slot.load();
  if (kept && kept->profile == profile) {
    return kept;
  }
  ASSIGN_OR_RETURN(kept, KeyUnderProfile::New(key, profile));
  slot.store(kept);
  return kept;
}

Result<SigningInput> AssertionInput(const SigningKey& key, const ApprovedClaims& claims) {
  ASSIGN_OR_RETURN(const auto profiled, key.under_profile.Get(key, claims.profile()));
  if (claims.gaps().empty()) {
    return SigningInput(jws::SigningInput(profiled->encoded_header, claims.json()));
  }
  std::string json;
  std::size_t at = 0;
  for (const auto& gap : claims.gaps()) {
    const auto& value = profiled->ValueOf(gap.word);
    if (value.empty()) {
      return Lacks(key, "no value for {" + std::string(kTemplateWords.at(static_cast<std::size_t>(gap.word))) +
                            "} of its profile");
    }
    json.append(claims.json(), at, gap.at - at).append(value);
    at = gap.at;
  }
  json.append(claims.json(), at);
  return SigningInput(jws::SigningInput(profiled->encoded_header, json));
}

}  // namespace assertion
