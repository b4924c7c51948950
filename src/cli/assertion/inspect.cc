// assertionctl assertion inspect

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/clock.h"
#include "cli/assertion/inspection.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "jws/object_text.h"

namespace assertion::cli {
namespace {

struct InspectAssertionOptions {
  std::string file;
  std::string certificate_file;
  std::string jwks_file;
  bool json = false;
};

// The key of a file. kNotFound: a JWK Set without the assertion's key; else kConfigInvalid: the file is no such thing.
Result<PublicKey> KeyFromFile(const InspectAssertionOptions& options, const std::string& path,
                              const jws::Unverified& parsed) {
  ASSIGN_OR_RETURN(const auto text, ReadText(path));
  auto key = options.certificate_file.empty() ? KeyFromJwks(text, parsed.header) : KeyFromCertificate(text);
  if (!key && key.error().code != Code::kNotFound) {
    return Fail(Code::kConfigInvalid, path + ": " + key.error().message, key.error().detail);
  }
  return key;
}

// Verifies with the key of the file that the options name. Without one the signature is not checked.
Result<std::string> Verdict(const InspectAssertionOptions& options, const jws::Unverified& parsed) {
  const auto& path = options.certificate_file.empty() ? options.jwks_file : options.certificate_file;
  if (path.empty()) {
    return "not checked";
  }
  ASSIGN_OR_RETURN(const auto key, KeyFromFile(options, path, parsed));
  RETURN_IF_ERROR(VerifySignature(parsed, key));
  return "ok";
}

// "bad" is said of a signature that was verified, not of a key that is missing.
std::string SignatureWord(const Result<std::string>& verdict) {
  return verdict ? *verdict : verdict.error().code == Code::kInvalidArgument ? "bad" : "not checked";
}

// Claims keep their spelling: a number may have more digits than any type here holds.
std::string InspectionJson(const jws::Unverified& parsed, const Result<std::string>& verdict, bool expired) {
  const nlohmann::ordered_json signature = SignatureWord(verdict);
  return jws::Indented(R"({"header":)" + parsed.header.dump() + R"(,"claims":)" + parsed.payload + R"(,"signature":)" +
                       signature.dump() + R"(,"expired":)" + (expired ? "true" : "false") + "}") +
         "\n";
}

std::string InspectionText(const jws::Unverified& parsed, const Result<std::string>& verdict, Time now) {
  const bool no_key = verdict && *verdict != "ok";
  return Describe(parsed, now) + "signature: " + SignatureWord(verdict) +
         (no_key ? " (give --certificate or --jwks)" : "") + "\n" + (IsExpired(parsed, now) ? "expired\n" : "");
}

int InspectAssertion(const InspectAssertionOptions& options) {
  const auto text = ReadLine(options.file);
  if (!text) {
    return ReportFile(text.error());
  }
  if (text->empty()) {
    const bool standard = options.file.empty() || options.file == "-";
    return Report(kRefused, (standard ? "standard input" : options.file) + std::string(" is empty"),
                  "give a JWT: assertionctl assertion create … | assertionctl assertion inspect");
  }
  const auto parsed = jws::ParseCompact(*text);
  if (!parsed) {
    return Report(kRefused, parsed.error().message, "");
  }
  const auto verdict = Verdict(options, *parsed);
  const auto now = SystemTime();
  const bool expired = IsExpired(*parsed, now);
  const int status = options.json ? WriteOctets("", PrintableJson(InspectionJson(*parsed, verdict, expired)))
                                  : Write("", InspectionText(*parsed, verdict, now));
  if (status != 0) {
    return status;
  }
  if (!verdict) {
    return verdict.error().code == Code::kConfigInvalid
               ? Report(kFile, verdict.error().ToString(),
                        "name a certificate in PEM with --certificate, or a JWK Set with --jwks: assertionctl "
                        "certificate get, assertionctl jwks get")
               : Report(kRefused, verdict.error().message, "");
  }
  if (expired) {
    return Report(kRefused, "the assertion is expired", "create another with assertionctl assertion create");
  }
  return 0;
}

}  // namespace

void AddAssertionInspect(Command& assertion) {
  const auto [verb, options] = assertion.AddVerb(
      {.name = "inspect",
       .summary = "Decode a client assertion and, given a key, verify it; needs no server",
       .examples = "  assertionctl assertion create --client-id orders | assertionctl assertion inspect\n"
                   "  assertionctl assertion inspect assertion.jwt --certificate orders.pem",
       .statuses = {{0, "decoded, verified where a key was given, not expired"},
                    {kRefused, "no JWT, expired, or the signature is bad or not checked for lack of the key"},
                    {kFile, "a file cannot be read"}}},
      InspectAssertion);
  verb->add_option("file", options.file, "The JWT; default or -: standard input")->type_name("FILE");
  auto* certificate = verb->add_option("--certificate", options.certificate_file, "Verify with this PEM certificate")
                          ->type_name("FILE");
  verb->add_option("--jwks", options.jwks_file, "Verify with the key of this JWK Set that has the assertion's kid")
      ->type_name("FILE")
      ->excludes(certificate);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
