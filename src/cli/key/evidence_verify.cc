// assertionctl key evidence verify

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/finding.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "keys/evidence.h"

namespace assertion::cli {
namespace {

struct VerifyEvidenceOptions {
  std::string file;
  bool json = false;
};

int RunVerifyEvidence(const VerifyEvidenceOptions& options) {
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
    findings.push_back({.name = {}, .ok = finding.ok, .text = finding.text});
  }
  auto json = FindingsJson(findings);
  json["report"] = nlohmann::ordered_json::parse(evidence->report);
  const int status = options.json ? WriteJson(json) : Write("", FindingsText(findings));
  return status != 0 || evidence->ok() ? status : kRefused;
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
       .examples = "  assertionctl key evidence verify orders.evidence\n"
                   "  assertionctl key evidence verify orders.evidence --json",
       .statuses = {{0, "nothing is wrong"},
                    {kRefused, "something is wrong"},
                    {kFile, "the file cannot be read or is not evidence"}}},
      RunVerifyEvidence);
  verb->add_option("file", options.file, "The report that key evidence wrote; -: standard input")
      ->required()
      ->type_name("FILE");
  AddJson(verb, options.json);
  RefuseFlagsOf(evidence.app(), verb);
}

}  // namespace assertion::cli
