// assertionctl audit show

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "audit/verification.h"
#include "cli/audit/files.h"
#include "cli/command.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

constexpr std::chrono::milliseconds kFollowPause{200};

struct ShowAuditOptions {
  std::vector<std::string> files;
  std::string client_id;
  std::string caller;
  std::string jti;
  std::string since;
  std::string until;
  bool follow = false;
};

// Lets the lines through that the options ask for.
class Filter {
 public:
  // INVALID_ARGUMENT: --since or --until is not a moment.
  static Result<Filter> New(const ShowAuditOptions& options) {
    Filter filter(options);
    ASSIGN_OR_RETURN(filter.since_, Instant("--since", options.since));
    ASSIGN_OR_RETURN(filter.until_, Instant("--until", options.until));
    return filter;
  }

  bool Lets(const std::string& text) const {
    const auto line = audit::ParseLine(text);
    if (!line) {
      return false;
    }
    const auto is = [&](const char* member, const std::string& wanted) {
      const auto found = line->members.find(member);
      return wanted.empty() || (found != line->members.end() && *found == wanted);
    };
    return is("client_id", options_.client_id) && is("caller", options_.caller) && is("jti", options_.jti) &&
           IsWithin(line->members.value("time", nlohmann::json()));
  }

 private:
  explicit Filter(const ShowAuditOptions& options) : options_(options) {}

  static Result<std::optional<Time>> Instant(const std::string& flag, const std::string& text) {
    if (text.empty()) {
      return std::nullopt;
    }
    const auto instant = ParsePastInstant(text, SystemTime());
    return instant ? Result<std::optional<Time>>(*instant)
                   : Fail(instant.error().code, flag + ": " + instant.error().message);
  }

  bool IsWithin(const nlohmann::json& text) const {
    if (!since_ && !until_) {
      return true;
    }
    constexpr std::size_t kToSeconds = 19;
    const auto time = text.is_string() ? ParseInstant(text.get<std::string>().substr(0, kToSeconds) + "Z", Time())
                                       : Fail(Code::kInvalidArgument, "no time");
    return time && (!since_ || *time >= *since_) && (!until_ || *time < *until_);
  }

  const ShowAuditOptions& options_;
  std::optional<Time> since_;
  std::optional<Time> until_;
};

// Prints the complete lines that the stream has now. A line that is still being written stays for the next call. True:
// there was one.
bool ShowLines(std::ifstream& stream, const Filter& filter) {
  bool any = false;
  for (std::string text;;) {
    const auto begin = stream.tellg();
    if (!std::getline(stream, text) || stream.eof()) {
      stream.clear();
      stream.seekg(begin);
      break;
    }
    if (filter.Lets(text)) {
      std::cout << PrintableJson(text) << '\n';
      any = true;
    }
  }
  std::cout.flush();
  return any;
}

bool IsSameFile(const struct stat& before, const std::string& path) {
  struct stat now{};
  return stat(path.c_str(), &now) != 0 || (now.st_ino == before.st_ino && now.st_dev == before.st_dev);
}

// Runs until standard output is closed or a signal ends the process. Reads a file that was rotated to its end first.
int Follow(const std::string& path, std::ifstream& stream, const Filter& filter) {
  while (std::cout) {
    struct stat opened{};
    if (stat(path.c_str(), &opened) != 0) {
      opened = {};
    }
    while (std::cout && IsSameFile(opened, path)) {
      ShowLines(stream, filter);
      std::this_thread::sleep_for(kFollowPause);
    }
    ShowLines(stream, filter);
    stream = std::ifstream(path, std::ios::binary);
  }
  return 0;
}

int ShowAudit(const ShowAuditOptions& options) {
  const auto filter = Filter::New(options);
  if (!filter) {
    return Report(kUsage, filter.error().message, "assertionctl audit show --help");
  }
  std::ifstream stream;
  bool any = false;
  for (const auto& file : options.files) {
    stream = std::ifstream(file, std::ios::binary);
    if (!stream.is_open()) {
      return Report(kFile, "cannot read " + file + ": " + std::strerror(errno),
                    "name the file of audit.path in assertiond's configuration, for example "
                    "/var/lib/assertiond/audit.log, as a user who may read it");
    }
    any |= ShowLines(stream, *filter);
  }
  if (options.follow) {
    return Follow(options.files.back(), stream, *filter);
  }
  if (!any && !options.jti.empty()) {
    return Report(kRefused, "no line with jti \"" + options.jti + "\" among those that the options ask for",
                  "name the rotated files too, in any order (audit.log*), and compare the jti with the assertion's: "
                  "assertionctl assertion inspect FILE");
  }
  if (!any) {  // an answer, so the exit status is 0; but an empty one may come of a wrong file or a word misspelt
    Report(0,
           "no line of an audit log that the options ask for in " + options.files.front() +
               (options.files.size() > 1 ? " and the other files" : ""),
           "compare with the whole log: assertionctl audit show FILE. A caller is written as in clients[].callers, for "
           "example uid:1000");
  }
  return 0;
}

}  // namespace

void AddAuditShow(Command& audit) {
  const auto [verb, options] =
      audit.AddVerb({.name = "show",
                     .summary = "Print lines of an audit log as they are in the file, JSON; needs no server",
                     .examples = "  assertionctl audit show audit.log --client-id orders --since 2026-11-24T06:00:00Z\n"
                                 "  assertionctl audit show audit.log* --jti 2yQ…\n"
                                 "  assertionctl audit show audit.log --since -10m\n"
                                 "  assertionctl audit show audit.log --follow",
                     .statuses = {{kRefused, "no line has the jti of --jti"}, {kFile, "a file cannot be read"}}},
                    ShowAudit);
  AddAuditFiles(verb, options.files);
  verb->add_option("--client-id", options.client_id, "Print only lines of this OAuth 2.0 client; default: of all")
      ->type_name("ID");
  verb->add_option("--caller", options.caller, "Print only lines of this caller, for example uid:1000; default: of all")
      ->type_name("IDENTITY");
  verb->add_option("--jti", options.jti, "Print only the line of the assertion with this jti; default: all lines")
      ->type_name("JTI");
  verb->add_option(
          "--since", options.since,
          "Print only lines from this time on: a span before now such as -15m, -2h or -1d, or RFC 3339 in UTC; "
          "default: from the first")
      ->type_name("TIME");
  verb->add_option("--until", options.until, "Print only lines before this time, written alike; default: to the last")
      ->type_name("TIME");
  verb->add_flag("--follow", options.follow, "Keep printing lines that are added to the last FILE");
}

}  // namespace assertion::cli
