// assertionctl key evidence verify

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/assertion/inspection.h"
#include "cli/command.h"
#include "cli/finding.h"
#include "cli/flags.h"
#include "cli/kid.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "keys/evidence.h"

namespace assertion::cli {
namespace {

struct VerifyEvidenceOptions {
  std::string file;
  std::string kid;
  std::string certificate_file;
  std::string jwks_file;
  bool needs_known_key = false;
  bool json = false;
};

// A column of labels as key show has it.
std::string AboutText(const Evidence& evidence) {
  constexpr std::size_t kColumn = 11;
  std::string text;
  for (const auto& [label, value] : evidence.about) {
    text += label + std::string(kColumn - label.size(), ' ') + Printable(value) + "\n";
  }
  return text + "\n";
}

// The text of a finding begins with what it is about.
Finding Named(const EvidenceFinding& finding) {
  constexpr std::string_view kEnd = ": ";
  const auto end = finding.text.find(kEnd);
  return {.name = finding.text.substr(0, end),
          .ok = finding.ok,
          .text = end == std::string::npos ? finding.text : finding.text.substr(end + kEnd.size()),
          .warns = finding.warns,
          .said = finding.said};
}

Finding Compared(bool same, const std::string& with) {
  return {.name = "known key", .ok = same, .text = same ? "the same as in " + with : "another key than in " + with};
}

Result<bool> IsOfCertificate(const Evidence& evidence, const std::string& file) {
  ASSIGN_OR_RETURN(const auto text, ReadText(file));
  const auto key = KeyFromCertificate(text);
  if (!key) {
    return Fail(Code::kConfigInvalid, file + ": " + key.error().message, key.error().detail);
  }
  return evidence.key == *key;
}

Result<bool> IsInJwks(const Evidence& evidence, const std::string& file) {
  ASSIGN_OR_RETURN(const auto text, ReadText(file));
  const auto key = KeyFromJwks(text, {{"kid", evidence.kid}});
  if (!key && key.error().code != Code::kNotFound) {
    return Fail(Code::kConfigInvalid, file + ": " + key.error().message, key.error().detail);
  }
  return key && evidence.key == *key;
}

struct Comparison {
  std::vector<Finding> findings;
  bool made = false;
};

// The report holds its key itself: what else is known of the key must come from elsewhere.
Result<Comparison> CompareWithKnown(const Evidence& evidence, const VerifyEvidenceOptions& options) {
  std::vector<Finding> findings;
  if (!options.kid.empty()) {
    findings.push_back(Compared(evidence.kid == options.kid, "--kid " + options.kid));
  }
  if (const auto& file = options.certificate_file; !file.empty()) {
    ASSIGN_OR_RETURN(const auto same, IsOfCertificate(evidence, file));
    findings.push_back(Compared(same, file));
  }
  if (const auto& file = options.jwks_file; !file.empty()) {
    ASSIGN_OR_RETURN(const auto same, IsInJwks(evidence, file));
    findings.push_back(Compared(same, file));
  }
  const bool made = !findings.empty();
  if (!made) {
    findings.push_back({.name = "known key",
                        .ok = !options.needs_known_key,
                        .text = "not compared with a known key; give --kid, --certificate or --jwks of what the "
                                "identity server has",
                        .warns = !options.needs_known_key});
  }
  return Comparison{.findings = std::move(findings), .made = made};
}

std::string NotProvenText(bool compared) {
  return std::string(compared
                         ? ""
                         : "that the key is yours, because anybody can sign such a report with a key of their own; ") +
         "that there is a token at all; anyone who has this key in a file can write the same report. Lines with "
         "\"says\" "
         "and \"warn\" are the report's word alone: see the vendor's attestation of this key";
}

int RunVerifyEvidence(const VerifyEvidenceOptions& options) {
  if (!options.kid.empty() && options.kid.size() < kKidLength) {  // another key's kid may begin alike
    return Report(kUsage,
                  "--kid: \"" + options.kid + "\" is no whole kid: the comparison needs all " +
                      std::to_string(kKidLength) + " characters",
                  "assertionctl key list --wide shows whole kids");
  }
  const auto text = ReadLine(options.file);
  if (!text) {
    return ReportFile(text.error());
  }
  const auto evidence = VerifyEvidence(*text);
  if (!evidence) {
    return Report(kFile, options.file + " is not evidence of a key: " + evidence.error().message,
                  "name a file that assertionctl key evidence wrote");
  }
  std::vector<Finding> findings;
  for (const auto& finding : evidence->findings) {
    findings.push_back(Named(finding));
  }
  const auto compared = CompareWithKnown(*evidence, options);
  if (!compared) {
    return ReportFile(compared.error());
  }
  findings.insert(findings.end(), compared->findings.begin(), compared->findings.end());
  auto json = FindingsJson(findings);
  json["compared"] = compared->made;
  json["not_proven"] = NotProvenText(compared->made);
  json["report"] = nlohmann::ordered_json::parse(evidence->report);
  const int status = options.json ? WriteJson(json)
                                  : Write("", AboutText(*evidence) + FindingsText(findings) +
                                                  "\nnot proven: " + NotProvenText(compared->made) + "\n");
  return status != 0 || AllOk(findings) ? status : kRefused;
}

// Flags of `key evidence` ask a server about a key: here they are neither needed nor allowed.
void RefuseFlagsOf(CLI::App& evidence, CLI::App* verify) {
  for (const char* name : {"--client-id", "--kid", "--out"}) {
    verify->excludes(evidence.get_option(name));
  }
  verify->preparse_callback([&evidence](std::size_t) { evidence.get_option("--client-id")->required(false); });
}

}  // namespace

void AddKeyEvidenceVerify(Command& evidence) {
  const auto [verb, options] = evidence.AddVerb(
      {.name = "verify",
       .summary = "Check a report: signature, kid, certificate, every attribute that custody requires; needs no server",
       .examples = "  assertionctl key evidence verify orders.evidence --certificate orders.pem\n"
                   "  assertionctl key evidence verify orders.evidence --jwks jwks.json --require-known-key --json",
       .notes = "Name the kid, certificate or JWK Set that the identity server has: the comparison shows that this key "
                "signed "
                "the report, not that a token holds the key.",
       .statuses = {{0, "nothing is wrong"},
                    {kRefused,
                     "something is wrong, the key is another than the one named, or none is named with "
                     "--require-known-key"},
                    {kFile, "a file cannot be read or is no such thing"}}},
      RunVerifyEvidence);
  verb->add_option("file", options.file, "The report that key evidence wrote; -: standard input")
      ->required()
      ->type_name("FILE");
  verb->add_option("--kid", options.kid, "The whole kid that the key must have")->type_name("KID");
  verb->add_option("--certificate", options.certificate_file, "The key must be that of this PEM certificate")
      ->type_name("FILE");
  verb->add_option("--jwks", options.jwks_file, "The key must be in this JWK Set")->type_name("FILE");
  verb->add_flag("--require-known-key", options.needs_known_key,
                 "Fail unless the key is compared with --kid, --certificate or --jwks: for a script, because a report "
                 "that anybody signed is else in order");
  AddJson(verb, options.json);
  RefuseFlagsOf(evidence.app(), verb);
}

}  // namespace assertion::cli
