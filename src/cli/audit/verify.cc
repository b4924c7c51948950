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
#include "jws/foreign_json.h"

namespace assertion::cli {
namespace {

struct VerifyAuditOptions {
  std::vector<std::string> files;
  std::string key_file;
  std::uint64_t first_sequence = 1;
  std::uint64_t last_sequence = 0;
  std::string head_file;
  bool needs_proven = false;
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

// A small file, or "-". Nothing that would hold its reader for ever.
Result<std::string> ReadGiven(const std::string& file) {
  if (file != "-") {
    RETURN_IF_ERROR(CheckAuditFile(file));
  }
  return ReadText(file);
}

Result<audit::PublicKeys> ReadKeys(const std::string& file) {
  ASSIGN_OR_RETURN(const auto text, ReadGiven(file));
  auto keys = audit::ParsePublicKeys(text);
  return keys ? std::move(keys) : Fail(keys.error().code, file + ": " + keys.error().message);
}

// The head that audit head --json printed.
Result<audit::Head> ReadHead(const std::string& file) {
  ASSIGN_OR_RETURN(const auto text, ReadGiven(file));
  const auto json = jws::ParseForeign(text);
  const auto sequence = json.find("sequence");
  const auto hash = json.find("hash");
  if (!json.is_object() || sequence == json.end() || !sequence->is_number_unsigned() || hash == json.end() ||
      !hash->is_string() || hash->get_ref<const std::string&>().empty()) {
    return Fail(Code::kConfigInvalid, file + " is no JSON with sequence and hash");
  }
  return audit::Head{.sequence = sequence->get<std::uint64_t>(), .hash = hash->get<std::string>()};
}

int VerifyAudit(const VerifyAuditOptions& options) {
  const auto keys = ReadKeys(options.key_file);
  if (!keys) {
    return Report(kFile, keys.error().message, "take it with assertionctl audit key");
  }
  audit::Extent extent{.first = options.first_sequence, .last = options.last_sequence};
  if (!options.head_file.empty()) {
    const auto head = ReadHead(options.head_file);
    if (!head) {
      return Report(kFile, head.error().message, "write it with assertionctl audit head --json");
    }
    extent.last = head->sequence;
    extent.last_hash = head->hash;
  }
  const auto named = FilesNamed(options.files);
  if (!named) {
    return Report(kFile, named.error().message, kWhereTheLogIs);
  }
  auto files = OpenAuditFiles(*named);
  if (!files) {
    return Report(kFile, files.error().message, "name files of one audit log");
  }
  const auto found = audit::Verify(std::move(files->sources), *keys, extent);
  const auto findings = FindingsOf(found, options.needs_proven ? Unproven::kWrong : Unproven::kWarns);
  const int status = options.json ? WriteJson(VerificationJson(found, findings)) : Write("", FindingsText(findings));
  return status != 0 || AllOk(findings) ? status : kRefused;
}

}  // namespace

void AddAuditVerify(Command& audit) {
  const auto [verb, options] =
      audit.AddVerb({.name = "verify",
                     .summary = "Check an audit log; needs no server. Names the first line that was changed, removed, "
                                "reordered or inserted, or says how far the log is proven",
                     .examples = "  assertionctl audit verify /var/lib/assertiond --key audit.jwk --head head.json\n"
                                 "  assertionctl audit verify audit.log* --key audit.jwk --first-sequence 0",
                     .statuses = {{0, "nothing is wrong"},
                                  {kRefused, "something is wrong, or lines are not proven yet with --require-proven"},
                                  {kFile, "a file cannot be read"}}},
                    VerifyAudit);
  AddAuditFiles(verb, options.files);
  verb->add_option("--key", options.key_file, "The JWK that audit key wrote, or a JWK Set")
      ->required()
      ->type_name("FILE");
  verb->add_option(
      "--first-sequence", options.first_sequence,
      "Number of the line that the FILEs must begin with; default: 1; 0: any, when older files are not at hand");
  verb->add_option("--last-sequence", options.last_sequence,
                   "Number of the line that the FILEs must reach, as audit head showed it. Without it or --head, lines "
                   "cut off at the end go unnoticed");
  verb->add_option("--head", options.head_file,
                   "What audit head --json printed earlier, kept where nobody who may write the log can change it. The "
                   "FILEs must reach that line and have it unchanged: this alone shows that the log was cut off and "
                   "written on since, or exchanged for another of the same key")
      ->excludes("--last-sequence")
      ->type_name("FILE");
  verb->add_flag("--require-proven", options.needs_proven,
                 "Fail unless a checkpoint proves the log to its last line: for a script, because anyone able to write "
                 "the file can invent lines after the last checkpoint. A server writes one when it stops");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
