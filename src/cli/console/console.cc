// assertionctl console

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cli/browser.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/console/audit_part.h"
#include "cli/console/changes.h"
#include "cli/console/condition_part.h"
#include "cli/console/door.h"
#include "cli/console/form.h"
#include "cli/console/keys_part.h"
#include "cli/console/login.h"
#include "cli/console/page.h"
#include "cli/console/pending_part.h"
#include "cli/console/session.h"
#include "cli/flags.h"
#include "cli/loopback_listener.h"
#include "cli/oidc/redirect_query.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "x509/openssl.h"

namespace assertion::cli {
namespace {

using Steady = LoopbackListener::Steady;

constexpr std::size_t kMostOfForm = std::size_t{8} << 10U;  // octets
constexpr int kDefaultIdle = 1800;                          // seconds
constexpr int kMostIdle = 28'800;
constexpr int kMostPort = 65'535;

struct ConsoleOptions {
  int port = 0;
  int idle = kDefaultIdle;
  bool no_browser = false;
  std::string monitor;
  std::string ca_file;
  std::vector<std::string> audit_log;
};

// The pages behind the door.
class Console {
 public:
  Console(const ConsoleOptions& options, std::string server, std::optional<oauth::Url> monitor,
          const ConsoleSession& session)
      : options_(options),
        server_(std::move(server)),
        session_(session),
        condition_(std::move(monitor), options.ca_file),
        changes_(server_, session),
        login_(server_, options.ca_file, session) {}

  LoopbackAnswer Answer(const ConsoleVisit& visit) {
    if (ConsoleChanges::Has(visit.path)) {
      return changes_.Answer(visit);
    }
    if (ConsoleLogin::Has(visit.path)) {
      return login_.Answer(visit);
    }
    if (visit.changes && visit.path == "end") {
      ended_ = true;
      return ConsolePage(session_.place(), "The console has ended", Paragraph("You can close this window."));
    }
    if (visit.changes) {
      return NotFound();
    }
    if (visit.path.empty()) {
      return KeysPage(FieldOf(visit.fields, "span"));
    }
    return visit.path == "audit" ? AuditPage() : NotFound();
  }

  // The person ended it.
  bool ended() const { return ended_; }

 private:
  LoopbackAnswer NotFound() const {
    auto answer = ConsolePage(session_.place(), "There is no such page", "");
    answer.status = "404 Not Found";
    return answer;
  }

  static std::string Wrong(const Error& error) {
    return Paragraph(error.message, "bad") + Paragraph("Next: " + AdviceOn(error), "quiet");
  }

  LoopbackAnswer KeysPage(const std::string& span) {
    std::string html;
    auto connection = Connection::Open(server_);
    if (connection) {
      const auto now = SystemTime();
      const auto pending = connection->ListPendingChanges({});
      const auto keys = connection->ListKeys({});
      html += Section("Waiting for a second person", pending ? PendingPart(*pending, now) : Wrong(pending.error()));
      html += Section("Clients and keys", keys ? KeysPart(*keys, span, now) : Wrong(keys.error()));
    } else {
      html += Section("Server", Wrong(connection.error()));
    }
    html += Section("Session",
                    Paragraph("Server: " + server_, "quiet") + ConsoleForm("end", session_).Html("End the console"));
    return ConsolePage(session_.place(), "Keys", Section("Readiness", condition_.Html(Steady::now())) + html);
  }

  LoopbackAnswer AuditPage() const {
    auto connection = Connection::Open(server_);
    const auto head = connection ? connection->GetAuditHead({}) : std::unexpected(connection.error());
    return ConsolePage(session_.place(), "Audit log",
                       head ? AuditPart(options_.audit_log, *head) : Section("Server", Wrong(head.error())));
  }

  const ConsoleOptions& options_;
  const std::string server_;
  const ConsoleSession& session_;
  ConditionPart condition_;
  ConsoleChanges changes_;
  ConsoleLogin login_;
  bool ended_ = false;
};

// Answers until the session ends. Returns the exit status.
int ServePerson(LoopbackListener& listener, ConsoleDoor& door, Console& console, std::optional<EntranceFile> file) {
  for (auto request = listener.Next(door.session().end()); request; request = listener.Next(door.session().end())) {
    const auto admitted = door.Admit(*request, Steady::now());
    const auto* visit = std::get_if<ConsoleVisit>(&admitted);
    Answer(request->browser, visit != nullptr ? console.Answer(*visit) : std::get<LoopbackAnswer>(admitted));
    if (door.session().entered()) {
      file.reset();
    }
    if (console.ended()) {
      return 0;
    }
  }
  if (!door.session().entered()) {
    return Report(kUnreachable, "nobody opened the address in time", "start it again for a new address");
  }
  return Write("", "The session has ended: it was idle, or 8 hours old.\n");
}

int RunConsole(const ConsoleOptions& options, const std::string& server) {
  std::optional<oauth::Url> monitor;
  if (!options.monitor.empty()) {
    auto url = oauth::ParseUrl("--monitor", options.monitor);
    if (!url || url->path != "/") {
      return Report(kUsage, url ? "--monitor must be an origin without a path" : url.error().message,
                    "assertionctl console --help");
    }
    monitor = *std::move(url);
  }
  // A server that is away, or an operator who may not look, is told here rather than in the browser.
  if (const int status = Call(server, &Connection::ListKeys, {}, [](const auto&) { return 0; }); status != 0) {
    return status;
  }
  auto session = ConsoleSession::New(x509::RandomOctets, std::chrono::seconds(options.idle), Steady::now());
  if (!session) {
    return Report(kRefused, session.error().message, "");
  }
  const bool foreseen = options.port != 0;
  auto listener = foreseen ? LoopbackListener::Open(static_cast<std::uint16_t>(options.port), kMostOfForm)
                           : LoopbackListener::Open(0, kMostOfForm, session->host());
  if (!listener) {
    return Report(kUnreachable, listener.error().ToString(), "choose another --port");
  }
  if (foreseen) {
    listener->HearLocalhost();
  }
  ConsoleDoor door(*std::move(session), listener->port());
  Console console(options, server, std::move(monitor), door.session());
  const auto address = "http://" + listener->authority() + door.EntrancePath();
  std::fprintf(stdout, "Open this address%s, which is good for one time. Ctrl-C ends the console.\n%s\n",
               foreseen ? " in a new private window" : "", address.c_str());
  std::fflush(stdout);
  auto file = options.no_browser || foreseen ? Result<std::optional<EntranceFile>>() : OpenBrowser(address);
  return file ? ServePerson(*listener, door, console, *std::move(file)) : ReportFile(file.error());
}

}  // namespace

void AddConsole(Command& assertionctl) {
  const auto [verb, options] = assertionctl.AddVerb(
      {.name = "console",
       .summary =
           "Show keys, pending changes, HSMs and the audit log in the browser, change keys and try log-ins there",
       .examples = "  assertionctl console\n"
                   "  assertionctl console --monitor http://127.0.0.1:8090 --audit-log /var/lib/assertiond/audit.log",
       .notes =
           "A web page on a loopback address with the rights of who runs the command. The printed address is good for "
           "one "
           "time;\n"
           "its browser then has the session, which ends after --idle without a request and after 8 hours. The page "
           "has\n"
           "no script. A log-in that it tries waits 5 minutes at most, and ends with the session. --ca-file is for\n"
           "--monitor and for the provider of that log-in. Ctrl-C and SIGTERM end it with status 130 and 143.",
       .statuses = {{0, "the session ended"},
                    {kUnreachable, "the server cannot be reached, or nobody opened the address in time"}}},
      RunConsole);
  verb->add_option("--port", options.port,
                   "Port on 127.0.0.1, to forward it; the browser is not opened then. Default: any port of a random "
                   "loopback address")
      ->type_name("PORT")
      ->check(CLI::Range(1, kMostPort));
  verb->add_option("--idle", options.idle, "Seconds without a request after which the session ends")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, kMostIdle))
      ->capture_default_str();
  verb->add_flag("--no-browser", options.no_browser, "Only print the address");
  verb->add_option(
          "--monitor", options.monitor,
          "The server's admin_listen, or http_listen: for readiness, HSMs, queues and rates; default: not shown")
      ->type_name("URL");
  AddCaFile(verb, options.ca_file);
  verb->add_option("--audit-log", options.audit_log,
                   "Files of the server's audit log, the present one last; default: lines are not shown")
      ->type_name("FILE...");
}

}  // namespace assertion::cli
