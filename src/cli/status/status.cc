// assertionctl status

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/key_text.h"
#include "cli/key/pending_change.h"
#include "cli/output.h"
#include "cli/status/attention.h"
#include "cli/status/monitored.h"
#include "cli/status/server_status.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

constexpr const char* kStatusHelp = "assertionctl status --help";
constexpr const char* kMonitorAdvice = "correct --monitor, or leave it out";
constexpr Connection::Limits kStatusLimits{.connect = std::chrono::seconds(5), .call = std::chrono::seconds(10)};

struct StatusOptions {
  std::string monitor;
  std::string ca_file;
  bool json = false;
};

bool IsRefusal(const Error& error) {
  return error.code == Code::kPermissionDenied || error.code == Code::kUnauthenticated;
}

// Asks for the custody of one key for each HSM and type of key: the server tries no more than that.
Status AddCustody(Connection& connection, ServerStatus& status) {
  for (const auto& keys : ByType(*status.keys)) {
    v1::GetKeyRequest request;
    request.set_client_id(keys.keys.front()->client_id());
    request.set_kid(keys.keys.front()->kid());
    const auto answer = connection.GetKey(request);
    if (answer && answer->custody().starts_with("unproven")) {
      status.attention.push_back(AttentionTo(keys, answer->custody()));
    } else if (!answer && answer.error().code != Code::kNotFound) {  // it may be destroyed meanwhile
      return std::unexpected(answer.error());
    }
  }
  return {};
}

// Keeps the answer or the failure of one call.
template <typename Response>
void KeepAnswer(Result<Response> answer, const char* method, std::optional<Response>& kept, ServerStatus& status) {
  if (answer) {
    kept = *std::move(answer);
  } else {
    status.failed.push_back({.method = method, .error = std::move(answer.error())});
  }
}

// What only operators see. A call that fails, as ListKeys without its HSM, does not hide what the others answer.
void AddKeys(Connection& connection, ServerStatus& status) {
  auto keys = connection.ListKeys({});
  if (!keys && IsRefusal(keys.error())) {
    status.refusal = keys.error().message;
    return;
  }
  KeepAnswer(std::move(keys), "ListKeys", status.keys, status);
  if (status.keys) {
    status.attention = AttentionTo(*status.keys, SystemTime());
    if (auto custody = AddCustody(connection, status); !custody) {
      status.failed.push_back({.method = "GetKey", .error = std::move(custody.error())});
    }
  }
  KeepAnswer(connection.ListPendingChanges({}), "ListPendingChanges", status.pending, status);
  if (status.pending) {
    ApproveRather(*status.pending, status.attention);
  }
  auto head = connection.GetAuditHead({});
  if (head || head.error().code != Code::kFailedPrecondition) {  // it is turned off
    KeepAnswer(std::move(head), "GetAuditHead", status.audit, status);
  }
  status.version = connection.server_version();
}

// An error: no call was answered.
Result<ServerStatus> AskServer(const std::string& server) {
  ASSIGN_OR_RETURN(auto connection, Connection::Open(server, kStatusLimits));
  ServerStatus status;
  status.server = server;
  std::optional<bool> ready;
  KeepAnswer(connection.IsServing(), kReadinessCall, ready, status);
  status.ready = ready.value_or(false);
  AddKeys(connection, status);
  if (!ready && status.refusal.empty() && !status.keys && !status.pending && !status.audit) {
    return std::unexpected(status.failed.front().error);
  }
  return status;
}

int ShowStatus(const StatusOptions& options, const std::string& server) {
  std::optional<oauth::Url> monitor;
  if (!options.monitor.empty()) {
    auto url = oauth::ParseUrl("--monitor", options.monitor);
    if (!url || url->path != "/") {
      return Report(kUsage, url ? "--monitor must be an origin without a path" : url.error().message, kStatusHelp);
    }
    monitor = *std::move(url);
  }
  auto status = AskServer(server);
  if (!status) {
    return ReportCall(status.error());
  }
  if (monitor) {
    if (auto monitored = AskMonitor(monitor->origin, options.ca_file)) {
      status->monitored = *std::move(monitored);
      if (status->keys && status->monitored->ready) {
        const auto stopped = AttentionToLost(*status->keys, LostHsms(*status->monitored));
        status->attention.insert(status->attention.begin(), stopped.begin(), stopped.end());
      }
      for (const auto& end : status->monitored->tls_ends) {
        if (auto attention = AttentionTo(end, SystemTime())) {
          status->attention.insert(attention->wrong ? status->attention.begin() : status->attention.end(),
                                   *std::move(attention));
        }
      }
    } else {
      status->failed.push_back({.method = kMonitorCall, .error = monitored.error(), .next = kMonitorAdvice});
    }
  }
  const int written =
      options.json ? WriteJson(StatusJson(*status)) : WriteOctets("", StatusText(*status, SystemTime(), TakesColour()));
  if (const auto& failed = status->failed; written == 0 && !failed.empty() && failed.back().method == kMonitorCall) {
    return Report(kRefused, failed.back().error.message, kMonitorAdvice);
  }
  return written != 0 || AllWell(*status) ? written : kRefused;
}

}  // namespace

void AddStatus(Command& assertionctl) {
  const auto [verb, options] = assertionctl.AddVerb(
      {.name = "status",
       .summary = "Show in one screen whether the server is ready, which clients and keys need attention, pending "
                  "changes and how far the audit log goes",
       .examples = "  assertionctl status\n"
                   "  assertionctl status --monitor http://127.0.0.1:8090\n"
                   "  assertionctl status --json",
       .notes = "A caller without a role sees whether the server is ready, and no more.",
       .statuses = {{0, "ready, and nothing is wrong"},
                    {kRefused, "not ready, a line begins with \"wrong\", or --monitor does not answer"}}},
      ShowStatus);
  verb->add_option("--monitor", options.monitor,
                   "The server's admin_listen, or http_listen: for the reasons, HSMs and queues; default: "
                   "$ASSERTIOND_MONITOR, else not shown")
      ->envname("ASSERTIOND_MONITOR")
      ->type_name("URL");
  AddCaFile(verb, options.ca_file);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
