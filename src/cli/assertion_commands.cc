// assertionctl assertion: create, inspect.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "assertion/clock.h"
#include "cli/assertion_request.h"
#include "cli/call.h"
#include "cli/inspection.h"
#include "cli/text.h"
#include "jws/object_text.h"

namespace assertion::cli {
namespace {

nlohmann::ordered_json ToJson(const v1::CreateAssertionResponse& response) {
  return {{"assertion", response.assertion()},
          {"client_assertion_type", response.client_assertion_type()},
          {"kid", response.kid()},
          {"jti", response.jti()},
          {"issued_at", Rfc3339(ToTime(response.issued_at()))},
          {"expires_at", Rfc3339(ToTime(response.expires_at()))}};
}

// How far a batch is: a line on the terminal, if there is one, that changes a few times a second.
class Progress {
 public:
  explicit Progress(std::uint64_t all) : all_(all) {}

  void Count(bool made) {
    ++(made ? made_ : refused_);
    const auto now = std::chrono::steady_clock::now();
    if (terminal_ && now - shown_ > std::chrono::milliseconds(200)) {
      shown_ = now;
      Show('\r');
    }
  }

  void End() const {
    if (terminal_) {
      Show('\n');
    }
  }

  std::uint64_t refused() const { return refused_; }
  std::uint64_t answered() const { return made_ + refused_; }

 private:
  void Show(char end) const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
    std::fprintf(stderr, "\r%llu of %llu made, %llu refused, %.0f/s \b%c", static_cast<unsigned long long>(made_),
                 static_cast<unsigned long long>(all_), static_cast<unsigned long long>(refused_),
                 static_cast<double>(answered()) / took.count(), end);
  }

  const std::uint64_t all_;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = began_;
  std::uint64_t made_ = 0;
  std::uint64_t refused_ = 0;
};

// One line each, as they come.
int CreateMany(const Options& options, const v1::CreateAssertionRequest& request) {
  auto connection = Connection::Open(options.server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  Progress progress(options.count);
  std::optional<Error> refusal;  // the first
  int status = 0;
  const auto ended = connection->CreateAssertions(request, options.count, [&](const auto& outcome) {
    progress.Count(outcome.has_value());
    if (outcome) {
      status = Write("", (options.json ? ToJson(*outcome).dump() : outcome->assertion()) + "\n");
    } else if (!refusal) {
      refusal = outcome.error();
    }
    return status == 0;
  });
  progress.End();
  if (status != 0) {
    return status;
  }
  if (!ended) {
    return ReportCall({ended.error().code,
                       "after " + std::to_string(progress.answered()) + " of " + std::to_string(options.count) + ": " +
                           ended.error().message,
                       ""});
  }
  return refusal ? ReportCall({refusal->code,
                               std::to_string(progress.refused()) + " of " + std::to_string(options.count) +
                                   " were refused, the first: " + refusal->message,
                               ""})
                 : 0;
}

int CreateAssertion(const Options& options) {
  const auto request = AssertionRequestOf(options);
  if (!request) {
    return Report(kUsage, request.error().message, "assertionctl assertion create --help");
  }
  if (options.count != 1) {
    return CreateMany(options, *request);
  }
  return Call<v1::CreateAssertionRequest, v1::CreateAssertionResponse>(
      options, &Connection::CreateAssertion, *request, [&](const auto& response) {
        return Write("", (options.json ? ToJson(response).dump(2) : response.assertion()) + "\n");
      });
}

// Verifies with the key file that was named; nothing was named: no verdict.
Result<std::string> Verdict(const Options& options, const jws::Unverified& parsed) {
  const auto& path = options.certificate_file.empty() ? options.jwks_file : options.certificate_file;
  if (path.empty()) {
    return "not checked";
  }
  ASSIGN_OR_RETURN(const auto text, ReadText(path));
  ASSIGN_OR_RETURN(const auto key,
                   options.certificate_file.empty() ? KeyFromJwks(text, parsed.header) : KeyFromCertificate(text));
  RETURN_IF_ERROR(VerifySignature(parsed, key));
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
    // Claims are shown as they are written: a number may have more digits than any type here holds.
    const nlohmann::ordered_json signature = verdict ? *verdict : "bad";
    const auto json = R"({"header":)" + parsed->header.dump() + R"(,"claims":)" + parsed->payload + R"(,"signature":)" +
                      signature.dump() + "}";
    if (const int status = Write("", jws::Indented(json) + "\n"); status != 0) {
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
                         "  assertionctl assertion create --client-id orders --lifetime 60s --claim 'tenant=\"acme\"'\n"
                         "  assertionctl assertion create --client-id orders --count 10000 > assertions.txt",
                         status, [&options] { return CreateAssertion(options); });
  AddAssertionOptions(create, options);
  create
      ->add_option("--count", options.count,
                   "So many, on one stream; a line each, as they come, and the progress on a terminal's standard error")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
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
