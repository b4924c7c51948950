#include "keys/evidence.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ranges>
#include <set>
#include <utility>

#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "keys/key_admission.h"
#include "x509/certificate.h"
#include "x509/verifier.h"

namespace assertion {
namespace {

using nlohmann::ordered_json;

// Members "trial" of the report.
constexpr std::string_view kHeld = "held";
constexpr std::string_view kUnproven = "unproven";
constexpr std::string_view kNotTried = "not tried";

// Member "origin" of an imported key's report.
constexpr std::string_view kImportedText =
    "imported, born outside: another party made it, and other copies of it may exist";

constexpr std::string_view kType = "assertiond-evidence+json";

// The attributes that custody requires, whatever the report says.
constexpr std::array<std::pair<std::string_view, bool>, 7> kRequired = {{{"CKA_SENSITIVE", true},
                                                                         {"CKA_ALWAYS_SENSITIVE", true},
                                                                         {"CKA_EXTRACTABLE", false},
                                                                         {"CKA_NEVER_EXTRACTABLE", true},
                                                                         {"CKA_LOCAL", true},
                                                                         {"CKA_SIGN", true},
                                                                         {"CKA_PRIVATE", true}}};

// The attributes that limit a key to signing. Older modules do not show it.
constexpr std::array<std::string_view, 4> kUses = {"CKA_DECRYPT", "CKA_UNWRAP", "CKA_DERIVE", "CKA_SIGN_RECOVER"};

// What enforces the attributes that a module shows, by the beginning of its name.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kBehindAttributes = {
    {{"tpm2-software.github.io",
      "entries of the module's store, not the TPM's word: C_SetAttributeValue, and whoever writes that file, can "
      "change them; that the key cannot leave rests on the TPM's fixedTPM, fixedParent and sensitiveDataOrigin: see "
      "tpm2_readpublic"},
     {"SoftHSM", "the word of a program: the token's files and its PIN together are the key"},
     {"", "the token's word, through its module: see its vendor's certificate, or attestation, for what it is worth"}}};

// That entry is no caveat about one kind of token: it holds for all of them.
constexpr std::string_view kTokensWord = kBehindAttributes.back().second;

std::string_view BehindAttributes(std::string_view module) {
  return std::ranges::find_if(kBehindAttributes, [&](const auto& entry) { return module.starts_with(entry.first); })
      ->second;
}

const char* StateName(KeyState state) {
  static constexpr std::array kNames = {"staged", "published", "signing", "retiring", "withdrawn"};
  return kNames.at(static_cast<std::size_t>(state));
}

ordered_json TokenJson(const TokenDescription& token) {
  return {{"label", token.label},   {"manufacturer", token.manufacturer}, {"model", token.model},
          {"serial", token.serial}, {"firmware", token.firmware},         {"module", token.module},
          {"flags", token.flags}};
}

// As the ledger recorded it at the key's birth; null: it did not.
ordered_json NotAskedJson(const KeyRecord& record) {
  return record.not_asked ? ordered_json(*record.not_asked) : ordered_json(nullptr);
}

// The result of this process's trial of the token with a throw-away key of the same type.
ordered_json CustodyJson(const TokenDescription& token, const KeyType& type) {
  const auto tried = token.trials.find(type.name);
  ordered_json json = {{"trial", tried == token.trials.end() ? kNotTried : tried->second.held() ? kHeld : kUnproven}};
  if (tried != token.trials.end()) {
    auto& ways = json["ways"] = ordered_json::array();
    for (const auto& way : tried->second.ways) {
      ways.push_back({{"way", way.name}, {"outcome", OutcomeName(way.outcome)}, {"answer", way.answer}});
    }
  }
  if (token.accepts_unproven_custody) {
    json["accepted_by_operator"] = true;
  }
  return json;
}

ordered_json AttributesJson(const TokenKey& key) {
  auto list = ordered_json::array();
  for (const auto& attribute : key.attributes) {
    ordered_json member = {{"name", attribute.name}};
    member["value"] = attribute.value ? ordered_json(*attribute.value) : ordered_json(nullptr);
    member["required"] = attribute.required ? ordered_json(*attribute.required) : ordered_json(nullptr);
    member["proves"] = attribute.meaning;
    if (attribute.IsOnlyAccepted()) {
      member["accepted_by_operator"] = true;
    }
    list.push_back(std::move(member));
  }
  return list;
}

std::string_view OriginText(KeyOrigin origin) {
  return origin == KeyOrigin::kAdopted    ? "adopted, born outside: assertiond did not generate it"
         : origin == KeyOrigin::kImported ? kImportedText
                                          : "generated in the token by assertiond";
}

ordered_json ScheduleJson(const KeyRecord& record, std::int64_t version, Time now) {
  return {{"version", version},
          {"state", StateName(record.StateAt(now))},
          {"publish_from", Rfc3339(record.publish_from)},
          {"sign_from", Rfc3339(record.sign_from)},
          {"sign_until", Rfc3339(record.sign_until)},
          {"publish_until", Rfc3339(record.publish_until)}};
}

// Text of the token's may hold anything.
std::string Dump(const ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

// A member as text; empty when it is not there.
std::string TextOf(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// A member of another type than assertiond writes must not pass for one that is not there.
void CheckTypes(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  const auto check = [&](const char* name, bool (ordered_json::*is)() const noexcept, const char* type) {
    const auto member = report.find(name);
    if (member != report.end() && !((*member).*is)()) {
      findings.push_back({false, std::string(name) + ": must be " + type});
    }
  };
  for (const auto* name : {"time", "issuer", "client_id", "origin", "attributes_are", "certificate"}) {
    check(name, &ordered_json::is_string, "text");
  }
  check("attributes", &ordered_json::is_array, "a list");
  check("token", &ordered_json::is_object, "an object");
  check("custody", &ordered_json::is_object, "an object");
  check("schedule", &ordered_json::is_object, "an object");
}

// One of each name, with a value that is true, false or not shown: else one reader takes one for another.
void CheckAttributeTypes(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  std::set<std::string> names;
  const auto is_boolean_or_null = [](const ordered_json& member) { return member.is_boolean() || member.is_null(); };
  for (const auto& attribute : report.value("attributes", ordered_json::array())) {
    const auto name = attribute.is_object() ? TextOf(attribute, "name") : "";
    if (name.empty() || !names.insert(name).second) {
      findings.push_back({false, "attributes: " + (name.empty() ? "one has no name" : name + " is there twice")});
    } else if (!is_boolean_or_null(attribute.value("value", ordered_json())) ||
               !is_boolean_or_null(attribute.value("accepted_by_operator", ordered_json()))) {
      findings.push_back({false, name + ": must be true, false or null"});
    }
  }
}

bool IsAccepted(const ordered_json& attribute) {
  return attribute.value("accepted_by_operator", ordered_json()) == true;
}

std::vector<std::pair<std::string, std::string>> About(const ordered_json& report, const std::string& kid,
                                                       bool verified) {
  const auto token = report.value("token", ordered_json());
  const auto of_token = [&](const char* name) { return token.is_object() ? TextOf(token, name) : ""; };
  return {{"client", TextOf(report, "client_id")},
          {"kid", kid},
          {"algorithm", TextOf(report, "algorithm")},
          {"token", of_token("label") + ", serial " + of_token("serial")},
          {"model", of_token("model") + " of " + of_token("manufacturer") + ", firmware " + of_token("firmware")},
          {"module", of_token("module")},
          {"made", TextOf(report, "time") + " by " + TextOf(report, "issuer")},
          {"signed by", verified ? "the key that it is about, and nobody else" : "nobody: the signature is wrong"}};
}

// Signature and kid. True: the signature is good.
bool CheckSignature(const jws::Unverified& parsed, const Result<PublicKey>& key, const std::string& kid,
                    std::vector<EvidenceFinding>& findings) {
  if (!key) {
    findings.push_back({false, "jwk: " + key.error().message});
    return false;
  }
  const bool same = TextOf(parsed.header, "kid") == kid && TextOf(parsed.claims, "kid") == kid;
  findings.push_back({same, same ? "kid: is the RFC 7638 thumbprint of the key" : "kid: belongs to another key"});
  const auto* algorithm = FindAlgorithm(TextOf(parsed.header, "alg"));
  const auto verifier =
      algorithm == nullptr ? Fail(Code::kInvalidArgument, "alg is not offered") : x509::Verifier::New(*key, *algorithm);
  const bool verified = verifier && verifier->Verify(parsed.signing_input, parsed.signature);
  findings.push_back({verified, verified ? "signature: made by the key that the report is about" : "signature: bad"});
  return verified;
}

void CheckAttributes(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  if (const auto behind = TextOf(report, "attributes_are"); !behind.empty()) {
    findings.push_back({true, "attributes: " + behind, behind != kTokensWord});
  }
  const auto attributes = report.value("attributes", ordered_json::array());
  const bool imported = TextOf(report, "origin") == kImportedText;
  for (const auto& [name, required] : kRequired) {
    if (imported && std::ranges::find(kBirthAttributes, name) != kBirthAttributes.end()) {
      findings.push_back({true, std::string(name) + ": does not count, the key was imported"});
      continue;
    }
    const auto found = std::ranges::find_if(attributes, [&](const ordered_json& attribute) {
      return attribute.is_object() && TextOf(attribute, "name") == name;
    });
    const bool shown = found != attributes.end() && found->contains("value") && (*found)["value"].is_boolean();
    const bool ok = shown && (*found)["value"].get<bool>() == required;
    findings.push_back(
        {ok, std::string(name) +
                 (!shown                          ? ": not shown"
                  : (*found)["value"].get<bool>() ? ": true"
                                                  : ": false") +
                 (ok         ? ", " + TextOf(*found, "proves")
                  : required ? ", must be true"
                             : ", must be false") +
                 (!ok && shown && IsAccepted(*found) ? ": not vouched for, the operator accepts it (accept_unshown)"
                                                     : "")});
  }
}

void CheckUses(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  for (const auto& attribute : report.value("attributes", ordered_json::array())) {
    const auto name = attribute.is_object() ? TextOf(attribute, "name") : "";
    if (std::ranges::find(kUses, name) != kUses.end() && attribute.value("value", ordered_json()) == true) {
      findings.push_back(
          {false, name + ": true, must be false" +
                      (IsAccepted(attribute) ? ": not vouched for, the operator accepts it (accept_unshown)" : "")});
    }
  }
}

// A report of an older version does not have the member.
void CheckNotAsked(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  const auto member = report.find("attributes_not_asked");
  if (member == report.end()) {
    return;
  }
  std::string names;
  for (const auto& name : member->is_array() ? *member : ordered_json::array()) {
    names += (names.empty() ? "" : ", ") + (name.is_string() ? name.get<std::string>() : "?");
  }
  findings.push_back({true,
                      "attributes not asked for at the key's birth: " +
                          (!member->is_array() ? "unknown, the ledger does not record them for this key"
                           : names.empty()     ? std::string("none, the token took the whole template")
                                               : names + "; the token refused them in a template"),
                      !member->is_array() || !names.empty()});
}

// A report of an older version has no trial.
void CheckCustodyTrial(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  const auto custody = report.value("custody", ordered_json());
  if (!custody.is_object()) {
    return;
  }
  const auto trial = TextOf(custody, "trial");
  const bool accepted = custody.value("accepted_by_operator", ordered_json()) == true;
  std::string ways;
  for (const auto& way : custody.value("ways", ordered_json::array())) {
    if (way.is_object() && TextOf(way, "outcome") == OutcomeName(WayOutcome::kLetThrough)) {
      ways += (ways.empty() ? "" : ", ") + TextOf(way, "way");
    }
  }
  findings.push_back(
      {trial == kHeld || (trial == kNotTried && !accepted),
       "custody: " +
           (trial == kHeld       ? "the token refused every way out that was tried on a throw-away key"
            : trial == kNotTried ? std::string("not tried between the server's start and this report: assertionctl "
                                               "doctor --config FILE --try tries it")
                                 : "unproven, the token let a throw-away key out by " + ways) +
           (accepted && trial != kHeld ? "; the operator accepts it (accept_unshown)" : ""),
       trial == kNotTried});
}

// What the key did when the report was made. A revoked key's report is good evidence too, but not of a key in use.
void CheckState(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  const auto schedule = report.value("schedule", ordered_json());
  if (!schedule.is_object()) {
    return;
  }
  const auto state = TextOf(schedule, "state");
  const auto at = [&](const char* name) { return TextOf(schedule, name); };
  const auto text = state == "staged"      ? "staged when the report was made, neither published nor signing"
                    : state == "published" ? "published when the report was made, signs from " + at("sign_from")
                    : state == "signing"   ? "signing when the report was made, since " + at("sign_from")
                    : state == "retiring"  ? "retiring when the report was made, published until " + at("publish_until")
                    : state == "withdrawn" ? "withdrawn when the report was made, since " + at("publish_until")
                                           : "unknown";
  findings.push_back({text != "unknown", "state: " + text, state == "withdrawn"});
}

void CheckCertificate(const ordered_json& report, const Result<PublicKey>& key,
                      std::vector<EvidenceFinding>& findings) {
  const auto pem = TextOf(report, "certificate");
  if (pem.empty()) {
    findings.push_back({true, "certificate: none"});
    return;
  }
  const auto certificate = x509::ParsePem(pem);
  const bool same = certificate && key && certificate->public_key == *key;
  findings.push_back({same, same ? "certificate: of this key, valid until " + Rfc3339(certificate->not_after)
                                 : "certificate: not of this key"});
}

}  // namespace

Result<std::string> MakeEvidence(Token& token, const std::string& client_id, const ScheduledKey& key,
                                 std::int64_t version, Time now) {
  ASSIGN_OR_RETURN(const auto contents, token.Read({client_id}, AdoptedIds({&key.record, 1})));
  const auto* found = FindKey(contents, client_id, key.record);
  if (!key.key || found == nullptr || found->attributes.empty()) {
    return Fail(Code::kFailedPrecondition, "kid: the token does not hold this key any more");
  }
  const auto& algorithm = *key.record.algorithm;
  const auto description = token.Describe();
  ordered_json report = {{"time", Rfc3339(now)},
                         {"issuer", "assertiond " ASSERTION_VERSION},
                         {"client_id", client_id},
                         {"kid", key.record.kid},
                         {"algorithm", algorithm.name},
                         {"mechanism", token.MechanismOf(algorithm)},
                         {"key_bits", key.key->bits()},
                         {"cka_id", Hex(key.record.id)},
                         {"origin", OriginText(key.record.origin)},
                         {"jwk", jws::Jwk(key.key->public_key, algorithm, {})},
                         {"token", TokenJson(description)},
                         {"attributes_are", BehindAttributes(description.module)},
                         {"attributes", AttributesJson(*found)},
                         {"attributes_not_asked", NotAskedJson(key.record)},
                         {"custody", CustodyJson(description, algorithm.key_type())},
                         {"certificate", x509::ToPem(key.key->chain)},
                         {"schedule", ScheduleJson(key.record, version, now)}};
  auto input = jws::SigningInput(jws::EncodedHeader(algorithm, key.record.kid, kType), Dump(report, -1));
  ASSIGN_OR_RETURN(const auto session, token.OpenSigningSession());
  ASSIGN_OR_RETURN(const auto signature, session->Sign(found->id, algorithm, input));
  if (!key.key->verifier.Verify(input, signature)) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "C_Sign: the evidence does not verify");
  }
  return jws::Compact(std::move(input), signature);
}

bool Evidence::ok() const { return std::ranges::all_of(findings, &EvidenceFinding::ok); }

Result<Evidence> VerifyEvidence(std::string_view text) {
  const auto parsed = jws::ParseCompact(text);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  if (TextOf(parsed->header, "typ") != kType || !parsed->claims.contains("jwk")) {
    return Fail(Code::kInvalidArgument, "not evidence of a key: its typ is not " + std::string(kType));
  }
  auto key = jws::ParseJwk(parsed->claims["jwk"]);
  auto kid = key ? jws::JwkThumbprint(*key) : "";
  Evidence evidence{.report = Dump(parsed->claims, 2),
                    .about = {},
                    .key = key ? std::optional(*key) : std::nullopt,
                    .kid = kid,
                    .findings = {}};
  const bool verified = CheckSignature(*parsed, key, kid, evidence.findings);
  evidence.about = About(parsed->claims, kid, verified);
  if (!ordered_json::accept(parsed->payload)) {
    evidence.findings.push_back(
        {false, "report: a member holds a number that no JSON reader takes: it is left out here"});
  }
  CheckTypes(parsed->claims, evidence.findings);
  CheckAttributeTypes(parsed->claims, evidence.findings);
  const auto proven = evidence.findings.size();
  CheckAttributes(parsed->claims, evidence.findings);
  CheckUses(parsed->claims, evidence.findings);
  CheckNotAsked(parsed->claims, evidence.findings);
  CheckCustodyTrial(parsed->claims, evidence.findings);
  if (const auto origin = TextOf(parsed->claims, "origin"); !origin.empty()) {
    evidence.findings.push_back({true, "origin: " + origin, origin != OriginText(KeyOrigin::kGenerated)});
  }
  CheckState(parsed->claims, evidence.findings);
  std::ranges::for_each(evidence.findings | std::views::drop(proven), [](auto& finding) { finding.said = true; });
  CheckCertificate(parsed->claims, key, evidence.findings);
  return evidence;
}

}  // namespace assertion
