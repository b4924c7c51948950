// assertionctl audit verify

#include <CLI/CLI.hpp>
#include <array>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "audit/verification.h"
#include "cli/audit/files.h"
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

const char* Name(audit::Tampering kind) {
  static constexpr std::array kNames = {"changed",   "removed", "inserted",         "duplicated",
                                        "reordered", "cut",     "signed by another"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string Range(std::uint64_t first, std::uint64_t last) {
  return "sequences " + std::to_string(first) + " to " + std::to_string(last);
}

std::vector<Finding> FindingsOf(const audit::Verification& found) {
  std::vector<Finding> findings;
  if (found.fault) {
    const auto& fault = *found.fault;
    findings.push_back({.name = Name(fault.kind),
                        .ok = false,
                        .text = fault.file + ":" + std::to_string(fault.line) + ": " + fault.text});
  } else {
    findings.push_back({.name = "chain", .ok = true, .text = Range(found.first, found.last) + " follow each other"});
  }
  findings.push_back({.name = "proven",
                      .ok = found.proven != 0,
                      .text = found.proven == 0 ? "nothing: there is no checkpoint before that"
                                                : Range(found.first, found.proven) + ", by " +
                                                      std::to_string(found.checkpoints) + " checkpoints"});
  if (!found.fault && found.proven != 0 && found.proven < found.last) {
    findings.push_back({.name = "not yet proven",
                        .ok = true,
                        .text = Range(found.proven + 1, found.last) +
                                ": no checkpoint covers these lines yet; lines may have been cut off there"});
  }
  for (const auto& span : found.doubtful) {
    findings.push_back({.name = "doubtful",
                        .ok = true,
                        .text = Range(span.first, span.last) +
                                ": left by a process that ended before its checkpoint; anyone able to "
                                "write the file then could have written them"});
  }
  return findings;
}

// Files that assertiond keeps beside a log: `audit.log*` matches them, too.
bool IsBesideALog(const std::string& file) { return file.ends_with(".lock") || file.ends_with(".torn"); }

// A log's files, open. The sources refer to the streams.
struct AuditFiles {
  std::vector<std::unique_ptr<std::ifstream>> streams;
  std::vector<audit::Source> sources;
};

Result<AuditFiles> OpenAuditFiles(const std::vector<std::string>& names) {
  AuditFiles files;
  for (const auto& name : names) {
    if (IsBesideALog(name)) {
      continue;
    }
    auto& stream = files.streams.emplace_back(std::make_unique<std::ifstream>(name, std::ios::binary));
    if (!stream->is_open() || stream->peek() == std::ifstream::traits_type::eof()) {
      return Fail(Code::kConfigInvalid, name + " cannot be read, or is empty");
    }
    files.sources.push_back({.name = name, .stream = stream.get()});
  }
  if (files.sources.empty()) {
    return Fail(Code::kConfigInvalid, "there is no file of an audit log among these");
  }
  return files;
}

nlohmann::ordered_json VerificationJson(const audit::Verification& found, const std::vector<Finding>& findings) {
  auto json = FindingsJson(findings);
  json["first_sequence"] = found.first;
  json["last_sequence"] = found.last;
  json["proven_sequence"] = found.proven;
  if (found.fault) {
    json["fault"] = {{"kind", Name(found.fault->kind)}, {"file", found.fault->file}, {"line", found.fault->line}};
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
  const auto [verb, options] =
      audit.AddVerb({.name = "verify",
                     .summary = "Check an audit log; needs no server. Names the first line that was changed, removed, "
                                "reordered or inserted, or says how far the log is proven",
                     .examples = "  assertionctl audit verify audit.log* --key audit.jwk --last-sequence 48210",
                     .notes = "Exit status: 0 nothing is wrong, 1 something is, 3 a file cannot be read"},
                    VerifyAudit);
  AddAuditFiles(verb, options.files);
  verb->add_option("--key", options.key_file, "The JWK that audit key wrote, or a JWK Set")
      ->required()
      ->type_name("FILE");
  verb->add_option("--first-sequence", options.first_sequence,
                   "Sequence that the FILEs must begin with; default 1; 0: any, when older files are not at hand");
  verb->add_option(
      "--last-sequence", options.last_sequence,
      "Sequence that the FILEs must reach, from audit head. Without it, lines cut off at the end go unnoticed");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
