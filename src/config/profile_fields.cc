// The fields of a client that say what its assertions look like: a preset, and what may differ from it.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/foreign_text.h"
#include "assertion/preset.h"
#include "assertion/template.h"
#include "config/sections.h"
#include "config/text.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMostOctets = 255;

std::string Quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string Joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const auto word : words) {
    text.append(text.empty() ? "" : ", ").append(word);
  }
  return text;
}

bool IsVisible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// True: the field is there and may be read. One that is there and may not differ from the preset is an error.
bool MayDiffer(Fields& entry, const Preset& preset, std::string_view name) {
  if (entry.Take(name, preset.Requires(name)) == nullptr) {
    return false;
  }
  if (!preset.Allows(name)) {
    entry.Refuse(
        name, "cannot differ from profile " + Quoted(preset.profile.name) + "; these can: " + Joined(preset.overrides));
    return false;
  }
  return true;
}

template <typename Value, std::size_t Count>
void TakeWord(Fields& entry, std::string_view name, const std::array<ProfileWord<Value>, Count>& words, Value& value) {
  const auto* const text = entry.TakeString(name, false);
  if (text == nullptr) {
    return;
  }
  const auto* const found = std::ranges::find(words, *text, &ProfileWord<Value>::name);
  if (found != words.end()) {
    value = found->value;
    return;
  }
  std::vector<std::string_view> names;
  std::ranges::transform(words, std::back_inserter(names), &ProfileWord<Value>::name);
  entry.Refuse(name, "must be one of: " + Joined(names) + DidYouMean(*text, names));
}

void TakeTyp(Fields& entry, std::string& typ) {
  constexpr std::size_t kLongest = 127;
  const auto* const text = entry.TakeString("typ", false);
  if (text == nullptr) {
    return;
  }
  const bool fits = text->size() <= kLongest && std::ranges::all_of(*text, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                             std::string_view("!#$&-^_.+").contains(c);
                    });
  if (!fits) {
    entry.Refuse("typ", "must be a media type without \"application/\", for example JWT; or empty for no typ");
  } else if (const auto lower = LowerCase(*text); lower == "dpop+jwt" || lower == "oauth-authz-req+jwt") {
    // An assertion must not pass for a DPoP proof or a request object (RFC 8725 section 3.11).
    entry.Refuse("typ", "is not that of an assertion: the field purposes says what else the key signs");
  }
  typ = *text;
}

void TakeTemplate(Fields& entry, std::string_view name, std::string& value) {
  const auto* const text = entry.TakeString(name, false);
  if (text == nullptr) {
    return;
  }
  const std::vector<std::string_view> words(kTemplateWords.begin(), kTemplateWords.end());
  if (text->empty() || text->size() > kMostOctets || !IsVisible(*text)) {
    entry.Refuse(name, "must be 1 to 255 visible ASCII characters");
  } else if (const auto pieces = ParseTemplate(*text); !pieces) {
    entry.Refuse(name, pieces.error().message + " ({" + pieces.error().detail + "}); the words are: " + Joined(words) +
                           DidYouMean(pieces.error().detail, words));
  }
  value = *text;
}

// {"thumbprint of a key": "its kid at the other party"}
void TakeKids(Fields& entry, Profile& profile) {
  constexpr std::size_t kThumbprintCharacters = 43;
  const auto* const list = entry.Take<Node::Object>("kids", profile.kid == KidForm::kAssigned, "an object");
  for (const auto& [name, value] : list == nullptr ? Node::Object() : *list) {
    const auto path = entry.PathOf("kids") + "." + name;
    const auto* const kid = std::get_if<std::string>(&value.value);
    if (name.size() != kThumbprintCharacters || !IsVisible(name)) {
      entry.errors().Add(value.line, path, "must be named by a key's kid as `assertionctl key list` shows it");
    } else if (kid == nullptr || kid->empty() || kid->size() > kMostOctets || !IsVisible(*kid) ||
               kid->find_first_of("\"\\") != std::string::npos) {
      entry.errors().Add(value.line, path, "must be a text of 1 to 255 visible ASCII characters without \" and \\");
    } else if (!profile.kids.emplace(name, *kid).second) {
      entry.errors().Add(value.line, path, "is repeated");
    }
  }
  if (list != nullptr && profile.kid != KidForm::kAssigned) {
    entry.Refuse("kids", "is for kid \"assigned\" only");
  }
}

void TakeHeader(Fields& entry, Profile& profile) {
  std::vector<std::string_view> names;
  std::ranges::transform(kHeaderMembers, std::back_inserter(names), &ProfileWord<HeaderMember>::name);
  profile.header.clear();
  for (const auto& member : entry.TakeEntries("header", false)) {
    const auto* const found = std::ranges::find(kHeaderMembers, member.text, &ProfileWord<HeaderMember>::name);
    if (found == kHeaderMembers.end()) {
      entry.errors().Add(member.line, member.path, "must be one of: " + Joined(names) + DidYouMean(member.text, names));
    } else {
      profile.header.push_back(found->value);
    }
  }
}

void TakeJku(Fields& entry, const Preset& preset, Profile& profile) {
  const bool wanted = std::ranges::find(profile.header, HeaderMember::kJku) != profile.header.end();
  if (!MayDiffer(entry, preset, "jku")) {
    if (wanted && preset.Allows("jku")) {
      entry.Refuse("jku", "is missing: header names it");
    }
    return;
  }
  const auto* const url = entry.TakeString("jku", false);
  if (url != nullptr && (!url->starts_with("https://") || !IsVisible(*url))) {
    entry.Refuse("jku", "must be an https URL");
  } else if (url != nullptr && !wanted) {
    entry.Refuse("jku", "is for a header with \"jku\" only");
  } else if (url != nullptr) {
    profile.jku = *url;
  }
}

void TakeSubjects(Fields& entry, Profile& profile) {
  for (auto& subject : entry.TakeEntries("subjects", false)) {
    const auto star = subject.text.find('*');
    const bool one_star = star == std::string::npos || subject.text.find('*', star + 1) == std::string::npos;
    if (subject.text.size() > kMostOctets || !IsVisible(subject.text)) {
      entry.errors().Add(subject.line, subject.path, "must be 1 to 255 visible ASCII characters");
    } else if (!one_star || subject.text == "*") {
      entry.errors().Add(subject.line, subject.path,
                         "must be a subject, or a pattern with one \"*\" and other text before or after it");
    }
    profile.subjects.push_back(std::move(subject.text));
  }
}

// RFC 6749 section 3.3.
void TakeScopes(Fields& entry, Profile& profile) {
  profile.scopes.clear();
  for (auto& scope : entry.TakeEntries("scopes", false)) {
    if (!IsVisible(scope.text) || scope.text.find_first_of("\"\\") != std::string::npos) {
      entry.errors().Add(scope.line, scope.path, "must be visible ASCII characters without \" and \\ (RFC 6749)");
    }
    profile.scopes.push_back(std::move(scope.text));
  }
}

void ReadHeaderFields(Fields& entry, const Preset& preset, Profile& profile) {
  if (MayDiffer(entry, preset, "typ")) {
    TakeTyp(entry, profile.typ);
  }
  if (MayDiffer(entry, preset, "kid")) {
    TakeWord(entry, "kid", kKidForms, profile.kid);
  }
  if (profile.kid == KidForm::kAssigned || MayDiffer(entry, preset, "kids")) {
    TakeKids(entry, profile);
  }
  if (MayDiffer(entry, preset, "header")) {
    TakeHeader(entry, profile);
  }
  TakeJku(entry, preset, profile);
}

void ReadSubjectFields(Fields& entry, const Preset& preset, Profile& profile) {
  if (MayDiffer(entry, preset, "grant")) {
    TakeWord(entry, "grant", kGrants, profile.grant);
  }
  if (MayDiffer(entry, preset, "issuer")) {
    TakeTemplate(entry, "issuer", profile.issuer);
  }
  if (MayDiffer(entry, preset, "subjects")) {
    TakeSubjects(entry, profile);
  }
  const bool named = !profile.subjects.empty() && preset.Requires("subject");  // the caller names it
  if (named ? entry.Take("subject", false) != nullptr : MayDiffer(entry, preset, "subject")) {
    TakeTemplate(entry, "subject", profile.subject);
  }
  if (MayDiffer(entry, preset, "scopes")) {
    TakeScopes(entry, profile);
  }
  if (profile.grant == Grant::kClientAuthentication) {
    for (const auto* const name : {"subjects", "scopes"}) {
      if (entry.Take(name, false) != nullptr && preset.Allows(name)) {
        entry.Refuse(name,
                     "is for the grants jwt-bearer and bearer-token only: a client that authenticates is the "
                     "subject (RFC 7523 section 3)");
      }
    }
  }
}

void ReadClaimFields(Fields& entry, const Preset& preset, Profile& profile) {
  constexpr std::int64_t kFewestDigits = 32;  // 128 random bits
  if (MayDiffer(entry, preset, "backdate")) {
    ReadBackdate(entry, profile);
  }
  if (MayDiffer(entry, preset, "nbf")) {
    profile.nbf = entry.TakeBool("nbf", profile.nbf);
  }
  if (MayDiffer(entry, preset, "jti")) {
    TakeWord(entry, "jti", kJtiForms, profile.jti);
  }
  if (MayDiffer(entry, preset, "jti_length")) {
    const auto length = entry.TakeCount("jti_length");
    profile.jti_length = static_cast<std::size_t>(length.value_or(kFewestDigits));
    if (profile.jti != JtiForm::kHex) {
      entry.Refuse("jti_length", "is for jti \"hex\" only");
    }
  }
}

}  // namespace

void ReadBackdate(Fields& entry, Profile& profile) {
  profile.backdate = entry.TakeDuration("backdate").value_or(profile.backdate);
}

const Preset& ReadProfile(Fields& entry, Client& client) {
  const auto* const name = entry.TakeString("profile", false);
  const auto* preset = name == nullptr ? nullptr : FindPreset(*name);
  if (name != nullptr && preset == nullptr) {
    std::vector<std::string_view> names;
    std::ranges::transform(Presets(), std::back_inserter(names),
                           [](const Preset& one) -> std::string_view { return one.profile.name; });
    entry.Refuse("profile", "is none of: " + Joined(names) + NearestProfile(*name));
  }
  preset = preset == nullptr ? &Presets().front() : preset;
  client.profile = preset->profile;
  client.algorithm = FindAlgorithm(preset->algorithms.front());
  client.default_lifetime = preset->default_lifetime;
  client.audience_as_list = preset->audience_form == AudienceForm::kList;
  ReadHeaderFields(entry, *preset, client.profile);
  ReadSubjectFields(entry, *preset, client.profile);
  ReadClaimFields(entry, *preset, client.profile);
  for (const auto& [field, text] : {std::pair<std::string_view, const std::string&>("issuer", client.profile.issuer),
                                    {"subject", client.profile.subject}}) {
    if (client.profile.kid == KidForm::kNone && text.contains("{kid}")) {
      entry.Refuse(field, "uses {kid}, and kid is \"none\"");
    }
  }
  return *preset;
}

void WarnOfRefusals(const Client& client, const Preset& preset, const std::string& path,
                    std::vector<std::string>& warnings) {
  const std::string party(preset.title);
  if (std::ranges::find(preset.algorithms, client.algorithm->name) == preset.algorithms.end()) {
    warnings.push_back(path + ".algorithm: " + party + " refuses " + std::string(client.algorithm->name) +
                       "; it takes: " + Joined(preset.algorithms));
  }
  const auto shows = [&client](HeaderMember member) {
    return std::ranges::find(client.profile.header, member) != client.profile.header.end();
  };
  const bool by_thumbprint =
      std::ranges::find(preset.profile.header, HeaderMember::kX5t) != preset.profile.header.end();
  if (by_thumbprint && !shows(HeaderMember::kX5t) && !shows(HeaderMember::kX5tS256)) {
    warnings.push_back(path + ".header: " + party + " finds the certificate by x5t or x5t#S256 alone");
  } else if (by_thumbprint) {
    const bool pss = client.algorithm->padding == Padding::kPss;
    if (!shows(pss ? HeaderMember::kX5tS256 : HeaderMember::kX5t)) {
      warnings.push_back(path + ".header: " + party + " finds the certificate of an assertion signed with " +
                         std::string(client.algorithm->name) + " by " + (pss ? "x5t#S256" : "x5t"));
    }
  }
  if (!preset.certificate_has_kid && client.binding == Binding::kCertificate && client.profile.kid != KidForm::kNone) {
    warnings.push_back(
        path + ".kid: " + party +
        " finds an uploaded certificate by no kid: set \"kid\": \"none\", or \"binding\": \"jwks\" if it "
        "reads the JWK Set");
  }
  if (client.max_lifetime > preset.max_lifetime) {
    const auto* const field = client.default_lifetime > preset.max_lifetime ? ".default_lifetime: " : ".max_lifetime: ";
    warnings.push_back(path + field + party + " refuses assertions of more than " +
                       std::to_string(preset.max_lifetime.count()) + "s");
  }
  for (const auto& audience : client.audiences) {
    if (!preset.audience.fits(audience)) {
      warnings.push_back((path + ".audiences: ")
                             .append(party)
                             .append(" will refuse ")
                             .append(Quoted(audience, kMostOctets))
                             .append("; it asks for ")
                             .append(preset.audience.wanted));
    }
  }
  constexpr std::size_t kAppleKid = 10;
  for (const auto& [thumbprint, kid] : client.profile.kids) {
    if (preset.profile.name == "apple" && kid.size() != kAppleKid) {
      auto& warning = warnings.emplace_back(path);
      warning.append(".kids: ").append(party).append(" gives kids of 10 characters, and ");
      warning.append(Quoted(kid, kMostOctets)).append(" has ").append(std::to_string(kid.size()));
    }
  }
  if (!preset.client_id.fits(client.client_id)) {
    warnings.push_back(path + ".client_id: " + party + " asks for " + std::string(preset.client_id.wanted));
  }
}

}  // namespace assertion
