#include "keys/evidence.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "x509/certificate.h"
#include "x509/verifier.h"

namespace assertion {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kType = "assertiond-evidence+json";

// What custody asks of a key, whatever the report says of it.
constexpr std::array<std::pair<std::string_view, bool>, 7> kRequired = {{{"CKA_SENSITIVE", true},
                                                                         {"CKA_ALWAYS_SENSITIVE", true},
                                                                         {"CKA_EXTRACTABLE", false},
                                                                         {"CKA_NEVER_EXTRACTABLE", true},
                                                                         {"CKA_LOCAL", true},
                                                                         {"CKA_SIGN", true},
                                                                         {"CKA_PRIVATE", true}}};

// What stands behind the attributes that a module shows, by the beginning of its name.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kBehindAttributes = {
    {{"tpm2-software.github.io",
      "entries of the module's store, not the TPM's word: C_SetAttributeValue, and whoever writes that file, can "
      "change them; that the key cannot leave rests on the TPM's fixedTPM, fixedParent and sensitiveDataOrigin: see "
      "tpm2_readpublic"},
     {"SoftHSM", "the word of a program: whoever has the token's files and its PIN has the key"},
     {"", "the token's word, through its module: see its vendor's certificate, or attestation, for what it is worth"}}};

std::string_view BehindAttributes(std::string_view module) {
  return std::ranges::find_if(kBehindAttributes, [&](const auto& entry) { return module.starts_with(entry.first); })
      ->second;
}

const char* StateName(KeyState state) {
  static constexpr std::array kNames = {"staged", "published", "signing", "retiring", "withdrawn"};
  return kNames.at(static_cast<std::size_t>(state));
}

ordered_json TokenJson(const TokenDescription& token) {
  ordered_json json = {{"label", token.label},   {"manufacturer", token.manufacturer}, {"model", token.model},
                       {"serial", token.serial}, {"firmware", token.firmware},         {"module", token.module},
                       {"flags", token.flags}};
  if (!token.not_asked.empty()) {
    json["attributes_not_asked"] = token.not_asked;
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

// Signature and kid.
void CheckSignature(const jws::Unverified& parsed, const Result<PublicKey>& key,
                    std::vector<EvidenceFinding>& findings) {
  if (!key) {
    findings.push_back({false, "jwk: " + key.error().message});
    return;
  }
  const auto kid = jws::JwkThumbprint(*key);
  const bool same = TextOf(parsed.header, "kid") == kid && TextOf(parsed.claims, "kid") == kid;
  findings.push_back({same, same ? "kid: is the RFC 7638 thumbprint of the key" : "kid: belongs to another key"});
  const auto* algorithm = FindAlgorithm(TextOf(parsed.header, "alg"));
  const auto verifier =
      algorithm == nullptr ? Fail(Code::kInvalidArgument, "alg is not offered") : x509::Verifier::New(*key, *algorithm);
  const bool verified = verifier && verifier->Verify(parsed.signing_input, parsed.signature);
  findings.push_back({verified, verified ? "signature: made by the key that the report is about" : "signature: bad"});
}

void CheckAttributes(const ordered_json& report, std::vector<EvidenceFinding>& findings) {
  if (const auto behind = TextOf(report, "attributes_are"); !behind.empty()) {
    findings.push_back({true, "attributes: " + behind});
  }
  const auto attributes = report.value("attributes", ordered_json::array());
  for (const auto& [name, required] : kRequired) {
    const auto found = std::ranges::find_if(attributes, [&](const ordered_json& attribute) {
      return attribute.is_object() && TextOf(attribute, "name") == name;
    });
    const bool shown = found != attributes.end() && found->contains("value") && (*found)["value"].is_boolean();
    const bool ok = shown && (*found)["value"].get<bool>() == required;
    findings.push_back({ok, std::string(name) +
                                (!shown                          ? ": not shown"
                                 : (*found)["value"].get<bool>() ? ": true"
                                                                 : ": false") +
                                (ok         ? ", " + TextOf(*found, "proves")
                                 : required ? ", must be true"
                                            : ", must be false") +
                                (!ok && shown && found->value("accepted_by_operator", false)
                                     ? ": not vouched for, the operator accepts it (accept_unshown)"
                                     : "")});
  }
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
  ASSIGN_OR_RETURN(const auto contents, token.Read({client_id}));
  const auto found = std::ranges::find(contents.keys, key.record.id, &TokenKey::id);
  if (!key.key || found == contents.keys.end() || found->attributes.empty()) {
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
                         {"jwk", jws::Jwk(key.key->public_key, algorithm, {})},
                         {"token", TokenJson(description)},
                         {"attributes_are", BehindAttributes(description.module)},
                         {"attributes", AttributesJson(*found)},
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
  Evidence evidence{.report = Dump(parsed->claims, 2), .findings = {}};
  const auto key = jws::ParseJwk(parsed->claims["jwk"]);
  CheckSignature(*parsed, key, evidence.findings);
  CheckAttributes(parsed->claims, evidence.findings);
  CheckCertificate(parsed->claims, key, evidence.findings);
  return evidence;
}

}  // namespace assertion
