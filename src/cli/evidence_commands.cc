// assertionctl key evidence, key evidence verify.

#include "cli/evidence_commands.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/call.h"
#include "cli/finding.h"
#include "cli/key_options.h"
#include "cli/key_question.h"
#include "cli/text.h"
#include "keys/evidence.h"

namespace assertion::cli {
namespace {

int CreateEvidence(const Options& options) {
  return WithKid(options, [&](const std::string& kid) {
    v1::CreateEvidenceRequest request;
    request.set_client_id(options.client_id);
    request.set_kid(kid);
    return Call<v1::CreateEvidenceRequest, v1::CreateEvidenceResponse>(
        options, &Connection::CreateEvidence, request,
        [&](const auto& response) { return Write(options.out, response.evidence() + "\n"); });
  });
}

int VerifyEvidenceFile(const Options& options) {
  auto text = ReadText(options.file);
  if (!text) {
    return ReportFile(text.error());
  }
  while (text->ends_with('\n') || text->ends_with('\r')) {
    text->pop_back();
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
  const int status = Write("", options.json ? json.dump(2) + "\n" : FindingsText(findings));
  return status != 0 || evidence->ok() ? status : kRefused;
}

}  // namespace

void AddEvidenceVerb(CLI::App* noun, Options& options, int& status) {
  auto* evidence = AddVerb(noun, "evidence", "A report on a key for an auditor: a JWS that the key itself signed",
                           "  assertionctl key evidence --client-id orders --out orders.evidence\n"
                           "  assertionctl key evidence verify orders.evidence",
                           status, [&options, noun] {
                             const auto* verify = noun->get_subcommand("evidence")->get_subcommand("verify");
                             return verify->parsed() ? VerifyEvidenceFile(options) : CreateEvidence(options);
                           });
  AddClientId(evidence, options);
  AddDefaultedKid(evidence, options);
  AddOut(evidence, options);
  auto* verify = evidence->add_subcommand(
      "verify", "Check one: signature, kid, certificate, every attribute that custody asks for; needs no server");
  verify->fallthrough();
  verify->footer(
      "Exit status: 0 all is right, 1 something is wrong, 3 the file cannot be read or is not evidence\n\n"
      "Examples:\n"
      "  assertionctl key evidence verify orders.evidence\n"
      "  assertionctl key evidence verify orders.evidence --json");
  verify->add_option("file", options.file, "What key evidence wrote; -: standard input")->required()->type_name("FILE");
  AddJson(verify, options);
  // What asks a server about a key is neither needed nor allowed to check a file.
  for (const char* name : {"--client-id", "--kid", "--out"}) {
    verify->excludes(evidence->get_option(name));
  }
  verify->preparse_callback([evidence](std::size_t) { evidence->get_option("--client-id")->required(false); });
}

}  // namespace assertion::cli
