// assertionctl audit verify

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "audit/verification.h"
#include "cli/audit/files.h"
#include "cli/audit/findings.h"
#include "cli/command.h"
#include "cli/finding.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct VerifyAuditOptions {
  std::vector<std::string> files;
  std::string key_file;
  std::uint64_t first_sequence = 1;
  std::uint64_t last_sequence = 0;
  bool json = false;
};

nlohmann::ordered_json VerificationJson(const audit::Verification& found, const std::vector<Finding>& findings) {
  auto json = FindingsJson(findings);
  json["first_sequence"] = found.first;
  json["last_sequence"] = found.last;
  json["proven_sequence"] = found.proven;
  if (found.fault) {
    json["fault"] = {
        {"kind", TamperingName(found.fault->kind)}, {"file", found.fault->file}, {"line", found.fault->line}};
  }
  return json;
}

int VerifyAudit(const VerifyAuditOptions& options) {
  const auto text = ReadText(options.key_file);
  const auto keys = text ? audit::ParsePublicKeys(*text) : std::unexpected(text.error());
  if (!keys) {
    return Report(kFile, options.key_file + ": " + keys.error().message, "take it with assertionctl audit key");
  }
  auto files = OpenAuditFiles(options.files);
  if (!files) {
    return Report(kFile, files.error().message, "name files of one audit log");
  }
  const auto found =
      audit::Verify(std::move(files->sources), *keys, {.first = options.first_sequence, .last = options.last_sequence});
  const auto findings = FindingsOf(found);
  const int status = options.json ? WriteJson(VerificationJson(found, findings)) : Write("", FindingsText(findings));
  const bool good = !found.fault && found.proven != 0;
  return status != 0 || good ? status : kRefused;
}

}  // namespace

void AddAuditVerify(Command& audit) {
  const auto [verb, options] = audit.AddVerb(
      {.name = "verify",
       .summary = "Check an audit log; needs no server. Names the first line that was changed, removed, "
                  "reordered or inserted, or says how far the log is proven",
       .examples = "  assertionctl audit verify audit.log* --key audit.jwk --last-sequence 48210",
       .statuses = {{0, "nothing is wrong"}, {kRefused, "something is wrong"}, {kFile, "a file cannot be read"}}},
      VerifyAudit);
  AddAuditFiles(verb, options.files);
  verb->add_option("--key", options.key_file, "The JWK that audit key wrote, or a JWK Set")
      ->required()
      ->type_name("FILE");
  verb->add_option(
      "--first-sequence", options.first_sequence,
      "Number of the line that the FILEs must begin with; default: 1; 0: any, when older files are not at hand");
  verb->add_option("--last-sequence", options.last_sequence,
                   "Number of the line that the FILEs must reach, as audit head showed it. Without it, lines cut off "
                   "at the end go unnoticed");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
