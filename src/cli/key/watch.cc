// assertionctl key watch

#include <CLI/CLI.hpp>
#include <csignal>
#include <ctime>
#include <optional>
#include <string>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/key_changes.h"
#include "cli/key/key_text.h"
#include "cli/key/keys_of_client.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/yaml.h"

namespace assertion::cli {
namespace {

// Short, so that a signal ends the command soon although the server does not answer.
constexpr Connection::Limits kWatchLimits{.connect = std::chrono::seconds(1), .call = std::chrono::seconds(5)};
constexpr timespec kPause{.tv_sec = 1, .tv_nsec = 0};  // instants of keys are whole seconds
constexpr std::size_t kUntilCell = 5;                  // in KeyRow

struct WatchOptions {
  std::string client_id;  // empty: all clients
  bool json = false;
};

// SIGINT and SIGTERM, blocked before gRPC starts threads, which inherit that.
class WatchEnd {
 public:
  WatchEnd() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  // Waits for the pause between two questions; true: a signal came.
  bool ComesWithinPause() const { return sigtimedwait(&signals_, nullptr, &kPause) > 0; }

 private:
  sigset_t signals_{};
};

Row LineOf(const KeyChange& change, Time now) {
  const auto row = KeyRow(change.key, now);
  const auto state = StateCell(change.key);
  return {Rfc3339(now),
          change.key.client_id(),
          change.key.kid(),
          {change.what, state.shade},
          change.what == "gone" ? "" : "until " + row.at(kUntilCell).text};
}

class Watching {
 public:
  Watching(const WatchOptions& options, const std::string& server) : options_(options), server_(server) {}

  // The exit status, once this must end.
  int Run() {
    for (;;) {
      const auto listed = Ask();
      if (!listed && (!seen_ || !PassesBy(listed.error()))) {
        return ReportCall(listed.error());
      }
      if (const int status = listed ? Tell(*listed) : SayCutOff(listed.error()); status != 0) {
        return status;
      }
      if (end_.ComesWithinPause()) {
        return 0;
      }
    }
  }

 private:
  static bool PassesBy(const Error& error) {
    return error.code == Code::kAddressUnusable || error.code == Code::kUnavailable ||
           error.code == Code::kDeadlineExceeded || error.code == Code::kResourceExhausted;
  }

  Result<v1::ListKeysResponse> Ask() {
    if (!connection_) {
      ASSIGN_OR_RETURN(connection_, Connection::Open(server_, kWatchLimits));
    }
    auto listed = connection_->ListKeys({});
    if (!listed) {
      connection_.reset();
      return listed;
    }
    if (!options_.client_id.empty()) {
      RETURN_IF_ERROR(KeepClient(*listed, options_.client_id));
    }
    return listed;
  }

  // Each outage is told once.
  int SayCutOff(const Error& error) {
    if (!away_) {
      away_ = true;
      Report(0, "cut off: " + error.message, "nothing; assertionctl connects again");
    }
    return 0;
  }

  int Tell(const v1::ListKeysResponse& listed) {
    if (away_) {
      away_ = false;
      Report(0, "connected again; what changed meanwhile follows", "");
    }
    const auto now = SystemTime();
    for (const auto& change : KeyChanges(seen_.value_or(v1::ListKeysResponse()), listed, now)) {
      if (const int status = WriteChange(change, now); status != 0) {
        return status;
      }
    }
    seen_ = listed;
    return 0;
  }

  int WriteChange(const KeyChange& change, Time now) const {
    if (!options_.json) {
      return WriteOctets("", TableText({LineOf(change, now)}, TakesColour()));
    }
    nlohmann::ordered_json json = {{"time", Rfc3339(now)}, {"change", change.what}};
    json.update(KeyJson(change.key));
    return WriteOctets("", DocumentLine(json));
  }

  const WatchEnd end_;
  const WatchOptions& options_;
  const std::string& server_;
  std::optional<Connection> connection_;
  std::optional<v1::ListKeysResponse> seen_;  // the last answer
  bool away_ = false;
};

int WatchKeys(const WatchOptions& options, const std::string& server) { return Watching(options, server).Run(); }

}  // namespace

void AddKeyWatch(Command& key) {
  const auto [verb, options] = key.AddVerb(
      {.name = "watch",
       .summary = "Show the present keys, then each change as it happens: published, signing, retiring, withdrawn, "
                  "revoked, a stored certificate",
       .examples = "  assertionctl key watch\n"
                   "  assertionctl key watch --client-id orders --json",
       .notes = "Asks the server once a second. When it is cut off it says so and connects again. Ctrl-C or SIGTERM\n"
                "ends it with exit status 0. --json prints one line for each change"},
      WatchKeys);
  verb->add_option("--client-id", options.client_id, "Watch only keys of this client; default: all clients")
      ->type_name("ID");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
