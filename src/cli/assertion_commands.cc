// assertionctl assertion: create, inspect.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/clock.h"
#include "cli/assertion_request.h"
#include "cli/call.h"
#include "cli/inspection.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

int CreateAssertion(const Options& options) {
  const auto request = AssertionRequestOf(options);
  if (!request) {
    return Report(kUsage, request.error().message, "assertionctl assertion create --help");
  }
  return Call<v1::CreateAssertionRequest, v1::CreateAssertionResponse>(
      options, &Connection::CreateAssertion, *request, [&](const auto& response) {
        if (!options.json) {
          return Write("", response.assertion() + "\n");
        }
        const nlohmann::ordered_json json = {{"assertion", response.assertion()},
                                             {"client_assertion_type", response.client_assertion_type()},
                                             {"kid", response.kid()},
                                             {"jti", response.jti()},
                                             {"issued_at", Rfc3339(ToTime(response.issued_at()))},
                                             {"expires_at", Rfc3339(ToTime(response.expires_at()))}};
        return Write("", json.dump(2) + "\n");
      });
}

// Verifies with the key file that was named; nothing was named: no verdict.
Result<std::string> Verdict(const Options& options, const jws::Unverified& parsed) {
  const auto& path = options.certificate_file.empty() ? options.jwks_file : options.certificate_file;
  if (path.empty()) {
    return "not checked";
  }
  const auto text = ReadText(path);
  if (!text) {
    return std::unexpected(text.error());
  }
  const auto key = options.certificate_file.empty() ? KeyFromJwks(*text, parsed.header) : KeyFromCertificate(*text);
  if (!key) {
    return std::unexpected(key.error());
  }
  const auto verified = VerifySignature(parsed, *key);
  if (!verified) {
    return std::unexpected(verified.error());
  }
  return "ok";
}

int InspectAssertion(const Options& options) {
  auto text = ReadText(options.file);
  if (!text) {
    return ReportFile(text.error());
  }
  while (text->ends_with('\n') || text->ends_with('\r')) {
    text->pop_back();
  }
  const auto parsed = jws::ParseCompact(*text);
  if (!parsed) {
    return Report(kRefused, parsed.error().message, "");
  }
  const auto verdict = Verdict(options, *parsed);
  if (options.json) {
    nlohmann::ordered_json json = {{"header", parsed->header}, {"claims", parsed->claims}};
    json["signature"] = verdict ? *verdict : "bad";
    if (const int status = Write("", json.dump(2) + "\n"); status != 0) {
      return status;
    }
  } else {
    const auto description =
        Describe(*parsed, SystemTime()) +
        "signature: " + (verdict ? *verdict == "ok" ? *verdict : *verdict + " (give --certificate or --jwks)" : "bad") +
        "\n";
    if (const int status = Write("", description); status != 0) {
      return status;
    }
  }
  if (!verdict) {
    return verdict.error().code == Code::kConfigInvalid ? ReportFile(verdict.error())
                                                        : Report(kRefused, verdict.error().message, "");
  }
  return 0;
}

}  // namespace

void AddAssertionNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "assertion", "Client assertions (RFC 7523)");
  auto* create = AddVerb(noun, "create", "Have one made; prints the JWT alone",
                         "  assertionctl assertion create --client-id orders\n"
                         "  assertionctl assertion create --client-id orders --lifetime 60s --claim 'tenant=\"acme\"'",
                         status, [&options] { return CreateAssertion(options); });
  AddAssertionOptions(create, options);
  AddJson(create, options);
  auto* inspect = AddVerb(noun, "inspect", "Decode one, and verify it when a key is given; needs no server",
                          "  assertionctl assertion create --client-id orders | assertionctl assertion inspect\n"
                          "  assertionctl assertion inspect assertion.jwt --certificate orders.pem",
                          status, [&options] { return InspectAssertion(options); });
  inspect->add_option("file", options.file, "The JWT; default or -: standard input")->type_name("FILE");
  auto* certificate = inspect->add_option("--certificate", options.certificate_file, "Verify with this PEM certificate")
                          ->type_name("FILE");
  inspect->add_option("--jwks", options.jwks_file, "Verify with this JWK Set's key of the same kid")
      ->type_name("FILE")
      ->excludes(certificate);
  AddJson(inspect, options);
}

}  // namespace assertion::cli
