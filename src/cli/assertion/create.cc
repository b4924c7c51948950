// assertionctl assertion create

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "assertion/clock.h"
#include "cli/assertion/flags.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/received_token.h"
#include "cli/verbs.h"
#include "cli/yaml.h"

namespace assertion::cli {
namespace {

struct CreateAssertionOptions {
  AssertionFlags assertion;
  std::uint64_t count = 1;
  bool json = false;
};

nlohmann::ordered_json AssertionJson(const v1::CreateAssertionResponse& response) {
  return {{"assertion", response.assertion()},
          {"client_assertion_type", response.client_assertion_type()},
          {"kid", response.kid()},
          {"jti", response.jti()},
          {"issued_at", Rfc3339(ToTime(response.issued_at()))},
          {"expires_at", Rfc3339(ToTime(response.expires_at()))}};
}

// Progress of a batch: one line on standard error, updated a few times a second. Silent unless that is a terminal.
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

// Prints one line per assertion, as the answers arrive.
int CreateMany(const CreateAssertionOptions& options, const std::string& server,
               const v1::CreateAssertionRequest& request) {
  auto connection = Connection::Open(server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  Progress progress(options.count);
  std::optional<Error> refusal;  // the first
  int status = 0;
  const auto ended = connection->CreateAssertions(request, options.count, [&](const auto& outcome) {
    progress.Count(outcome.has_value());
    const auto received = outcome ? CheckReceived("assertion", outcome->assertion()) : Status();
    if (!received) {
      status = ReportReceived(received.error());
    } else if (outcome) {
      status = Write("", options.json ? DocumentLine(AssertionJson(*outcome)) : outcome->assertion() + "\n");
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
  if (refusal) {
    refusal = WithNearest(*connection, *std::move(refusal), TypedWordsOf(request));
  }
  return refusal ? ReportCall({refusal->code,
                               std::to_string(progress.refused()) + " of " + std::to_string(options.count) +
                                   " were refused, the first: " + refusal->message,
                               ""})
                 : 0;
}

int CreateAssertion(const CreateAssertionOptions& options, const std::string& server) {
  const auto request = AssertionRequestOf(options.assertion);
  if (!request) {
    return Report(kUsage, request.error().message, "assertionctl assertion create --help");
  }
  if (options.count != 1) {
    return CreateMany(options, server, *request);
  }
  return Call(server, &Connection::CreateAssertion, *request, [&](const auto& response) {
    if (const auto received = CheckReceived("assertion", response.assertion()); !received) {
      return ReportReceived(received.error());
    }
    return options.json ? WriteJson(AssertionJson(response)) : Write("", response.assertion() + "\n");
  });
}

}  // namespace

void AddAssertionCreate(Command& assertion) {
  const auto [verb, options] = assertion.AddVerb(
      {.name = "create",
       .summary = "Create a client assertion and print it",
       .examples = "  assertionctl assertion create --client-id orders\n"
                   "  assertionctl assertion create --client-id orders --lifetime 60s --claim 'tenant=\"acme\"'\n"
                   "  assertionctl assertion create --client-id orders --count 10000 > assertions.txt"},
      CreateAssertion);
  AddAssertionFlags(verb, options.assertion);
  AddGrantFlags(verb, options.assertion);
  verb->add_option("--count", options.count,
                   "Create this many assertions over one stream and print one per line; a terminal's standard error "
                   "shows the progress")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
