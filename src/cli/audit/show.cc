// assertionctl audit show

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <expected>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "audit/line.h"
#include "audit/log_file.h"
#include "audit/raw_line.h"
#include "cli/audit/files.h"
#include "cli/audit/filter.h"
#include "cli/command.h"
#include "cli/kid.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/whole_number.h"
#include "jws/object_text.h"

namespace assertion::cli {
namespace {

constexpr std::chrono::milliseconds kFollowPause{200};

struct ShowAuditOptions {
  std::vector<std::string> files;
  WantedLines wanted;
  bool follow = false;
};

// Prints the lines of one file of a log after the other.
class LogReader {
 public:
  // `after`: the reader has all lines up to this one, and hears on standard error of those that are missing after it.
  LogReader(LineFilter& filter, std::optional<std::uint64_t> after) : filter_(filter), has_(after) {}

  // False: errno says why, and the file before stays open.
  bool Open(const std::string& path);

  // True while `path` leads to the open file, or to none.
  bool IsAt(const std::string& path) const;

  // Prints the complete lines that the file has now. A line that is still being written stays for the next call. True:
  // there was one, or status() is not 0.
  bool ShowLines();

  // Not 0: standard output cannot be written, which is reported already.
  int status() const { return status_; }

  // The sequence of the last line that was read, shown or not; 0: none was.
  std::uint64_t last() const { return last_; }

  // Opens the file with the line that follows: the one at `path`, or one that was rotated since.
  bool OpenNext(const std::string& path);

 private:
  static bool IsSame(const struct stat& one, const struct stat& other) {
    return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
  }

  void Print(std::string& lines) {
    status_ = status_ != 0 || lines.empty() ? status_ : WriteOctets("", lines);
    lines.clear();
  }

  // Looks at a line whether it is shown or not. Says once on standard error where the first one stands that is no line
  // of a log or does not follow the line before it: what is printed from there on may be anybody's.
  void Examine(std::string_view text, const Result<audit::Line>& line);
  void TellGapBefore(std::uint64_t sequence);

  LineFilter& filter_;
  std::optional<std::uint64_t> has_;
  int status_ = 0;
  std::ifstream stream_;
  struct stat file_{};
  std::uint64_t last_ = 0;                    // the sequence of the last line that was read; 0: none was
  std::string hash_ = audit::Genesis().hash;  // of that line
  std::string name_;                          // of the open file
  std::size_t number_ = 0;                    // of the last line in it
  bool begun_ = false;                        // a line of a log was read from it
  bool warned_ = false;
  std::string buffer_;
};

// A rotation may come in between: the stream must be that of the file that `file_` tells of.
bool LogReader::Open(const std::string& path) {
  struct stat before{};
  struct stat after{};
  while (stat(path.c_str(), &before) == 0 && CheckAuditFile(path)) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream.is_open() || stat(path.c_str(), &after) != 0) {
      return false;
    }
    if (IsSame(before, after)) {
      stream_ = std::move(stream);
      file_ = after;
      name_ = path;
      number_ = 0;
      begun_ = false;
      return true;
    }
  }
  return false;
}

bool LogReader::IsAt(const std::string& path) const {
  struct stat now{};
  return stat(path.c_str(), &now) != 0 || IsSame(now, file_);
}

void LogReader::Examine(std::string_view text, const Result<audit::Line>& line) {
  ++number_;
  // Older files may not be at hand, so another file may begin with a later line.
  const bool is_next = line && line->sequence == last_ + 1;
  const bool follows = is_next ? line->prev == hash_ : !begun_;
  if (!warned_ && (!line || !follows)) {
    warned_ = true;
    Report(0,
           name_ + ":" + std::to_string(number_) +
               (line ? " does not follow the line before it"
                : text.size() > audit::kLongestLine
                    ? " is no line of an audit log: it has more than " + std::to_string(audit::kLongestLine) + " octets"
                    : std::string(" is no line of an audit log")),
           "assertionctl audit verify says what was done to the log; until then trust nothing from there on");
  }
  if (line) {
    last_ = line->sequence;
    hash_ = line->hash;
    begun_ = true;
  }
}

// A member that is there twice means one thing to one reader and another to the next.
Result<audit::Line> ParseShownLine(std::string_view text) {
  ASSIGN_OR_RETURN(auto line, audit::ParseLine(text));
  if (const auto members = jws::ParseObjectText(text); !members) {
    return std::unexpected(members.error());
  }
  return line;
}

void LogReader::TellGapBefore(std::uint64_t sequence) {
  if (has_ && sequence > *has_ + 1) {
    const auto first = std::to_string(*has_ + 1);
    const auto last = std::to_string(sequence - 1);
    Report(
        0,
        (first == last ? "line " + first + " is" : "lines " + first + " to " + last + " are") + " in none of the files",
        "name the folder of the log, and the files that were moved elsewhere since");
  }
  has_ = has_ ? std::max(*has_, sequence) : has_;
}

bool LogReader::ShowLines() {
  constexpr std::size_t kAtOnce = 65'536;
  bool any = false;
  std::string lines;
  while (status_ == 0) {
    const auto begin = stream_.tellg();
    const auto raw = audit::ReadRawLine(stream_, buffer_);
    if (!raw || !raw->ended) {
      stream_.clear();
      stream_.seekg(begin);
      break;
    }
    const auto line = ParseShownLine(raw->text);
    if (line) {
      TellGapBefore(line->sequence);
    }
    Examine(raw->text, line);
    if (line && filter_.Lets(*line)) {
      lines.append(PrintableJson(raw->text)).append("\n");
      any = true;
    }
    if (lines.size() >= kAtOnce) {
      Print(lines);
    }
  }
  Print(lines);
  return any;
}

bool LogReader::OpenNext(const std::string& path) {
  const auto rotated = audit::RotatedName(path, last_ + 1);
  const auto open_rotated = [&] { return last_ > 0 && Open(rotated); };
  if (open_rotated()) {
    return true;
  }
  const bool opened = Open(path);
  return open_rotated() || opened;  // it may have been rotated in between
}

// Runs until standard output cannot be written or a signal ends the process. Reads a file that was rotated to its end
// first.
int Follow(const std::string& path, LogReader& reader) {
  while (reader.status() == 0) {
    while (reader.status() == 0 && reader.IsAt(path)) {
      reader.ShowLines();
      std::this_thread::sleep_for(kFollowPause);
    }
    reader.ShowLines();
    while (reader.status() == 0 && !reader.OpenNext(path)) {
      std::this_thread::sleep_for(kFollowPause);
    }
  }
  return reader.status();
}

// After all lines: says what the printed ones, or their absence, do not.
int Conclude(const ShowAuditOptions& options, const LineFilter& filter, bool any) {
  const auto& wanted = options.wanted;
  if (!any && !wanted.jti.empty()) {
    return Report(
        kRefused, "no line with jti \"" + wanted.jti + "\" among those that the options ask for",
        "name the folder of the log, which has the rotated files too, and compare the jti with the assertion's: "
        "assertionctl assertion inspect FILE");
  }
  if (!any && !wanted.kid.empty() && wanted.kid.size() < kShortestKid) {  // "no line" would be no answer
    return Report(kUsage,
                  "--kid: \"" + wanted.kid + "\" is too short: type at least the first " +
                      std::to_string(kShortestKid) + " characters of the kid",
                  "assertionctl key list shows the kids of each client");
  }
  // An answer, so the exit status is 0; but an empty one may come of a wrong file or a word misspelt. It is the usual
  // one for a reader who has all lines.
  if (!any && !wanted.after_sequence) {
    Report(0,
           "no line of an audit log that the options ask for in " + options.files.front() +
               (options.files.size() > 1 ? " and the other files" : ""),
           "compare with the whole log: assertionctl audit show FILE. A caller stands there as uid:NUMBER, or as the "
           "dns: or spiffe: name in its certificate");
  }
  if (filter.kids().size() > 1) {
    std::string kids;
    for (const auto& kid : filter.kids()) {
      kids.append(kids.empty() ? "" : ", ").append(kid);
    }
    Report(0, "these are lines of several keys that begin with \"" + wanted.kid + "\": " + kids,
           "type more of the kid");
  }
  return 0;
}

// True: a line was shown. An exit status, when what is wrong was reported. `whole`: with the files into which the log
// was rotated since they were listed.
std::expected<bool, int> ShowFiles(const std::vector<std::string>& files, bool whole, LogReader& reader) {
  bool any = false;
  for (const auto& file : files) {
    do {
      const auto may_be_read = CheckAuditFile(file);
      if (!may_be_read || !((whole && reader.OpenNext(file)) || reader.Open(file))) {
        return std::unexpected(Report(
            kFile, may_be_read ? "cannot read " + file + ": " + std::strerror(errno) : may_be_read.error().message,
            "name the file of audit.path in assertiond's configuration, for example "
            "/var/lib/assertiond/audit.log, as a user who may read it"));
      }
      any |= reader.ShowLines();
      if (reader.status() != 0) {
        return std::unexpected(reader.status());
      }
    } while (whole && !reader.IsAt(file));
  }
  return any;
}

// A log that is shorter than its reader knows it.
void TellEndBefore(const std::optional<std::uint64_t>& after, std::uint64_t last) {
  if (after && last != 0 && last < *after) {
    Report(0,
           "the log ends at line " + std::to_string(last) + ", before line " + std::to_string(*after) +
               ": this is another log, or its end was cut off",
           "assertionctl audit verify FILE... --key FILE --head FILE tells which");
  }
}

int ShowAudit(const ShowAuditOptions& options) {
  auto filter = LineFilter::New(options.wanted);
  if (!filter) {
    return Report(kUsage, filter.error().message, "assertionctl audit show --help");
  }
  const auto named = FilesNamed(options.files);
  if (!named) {
    return Report(kFile, named.error().message, kWhereTheLogIs);
  }
  const auto files = InOrder(*named);
  LogReader reader(*filter, options.wanted.after_sequence);
  const auto any = ShowFiles(files, options.wanted.after_sequence.has_value(), reader);
  if (!any) {
    return any.error();
  }
  TellEndBefore(options.wanted.after_sequence, reader.last());
  if (options.follow) {
    return Follow(CurrentName(files.back()), reader);
  }
  if (reader.last() == 0) {
    return Report(kFile,
                  "no line of an audit log is in " + files.front() + (files.size() > 1 ? " or the other files" : ""),
                  "name the file of audit.path in assertiond's configuration, for example "
                  "/var/lib/assertiond/audit.log");
  }
  return Conclude(options, *filter, *any);
}

// Names in one text, with a blank between them.
std::string Listed(const std::vector<std::string>& names) {
  constexpr std::size_t kWidth = 110;
  std::string text;
  std::size_t begin = 0;
  for (const auto& name : names) {
    if (text.size() + name.size() > begin + kWidth) {
      begin = text.size() + 1;
      text.append("\n ");
    }
    text.append(" ").append(name);
  }
  return text;
}

}  // namespace

void AddAuditShow(Command& audit) {
  const auto [verb, options] = audit.AddVerb(
      {.name = "show",
       .summary = "Print lines of an audit log as they are in the file, JSON; needs no server",
       .examples = "  assertionctl audit show /var/lib/assertiond --client-id orders --since 2026-11-24T06:00:00Z\n"
                   "  assertionctl audit show audit.log* --kid=h3Mkk8 --since 2026-11-24 --until 2026-11-24\n"
                   "  assertionctl audit show audit.log* --jti 2yQ…\n"
                   "  assertionctl audit show audit.log* --event RevokeKey --outcome OK | jq 'select(.pending | not)'\n"
                   "  assertionctl audit show audit.log* --since -10m\n"
                   "  assertionctl audit show audit.log --follow\n"
                   "  assertionctl audit show /var/lib/assertiond --after-sequence 4711 --follow",
       .notes = "Events:\n " + Listed(EventNames()) + "\nOutcomes:\n " + Listed(OutcomeNames()) +
                "\nA line with \"pending\":true is a request that waits for a second person: nothing was changed. The "
                "approval,\nApproveChange, makes the change.",
       .statuses = {{kRefused, "no line has the jti of --jti"},
                    {kFile, "a file cannot be read, none is an audit log, or standard output cannot be written"}}},
      ShowAudit);
  AddAuditFiles(verb, options.files);
  auto& wanted = options.wanted;
  verb->add_option("--client-id", wanted.client_id, "Print only lines of this OAuth 2.0 client; default: of all")
      ->type_name("ID");
  verb->add_option("--caller", wanted.caller,
                   "Print only lines of this caller, for example uid:1000, or user:NAME for that user's uid on this "
                   "machine; default: of all")
      ->type_name("IDENTITY");
  verb->add_option("--jti", wanted.jti, "Print only the line of the assertion with this jti; default: all lines")
      ->type_name("JTI");
  verb->add_option("--kid", wanted.kid,
                   "Print only lines about the key with this kid, or with at least its first 6 characters; default: "
                   "about all")
      ->type_name("KID");
  verb->add_option("--event", wanted.event,
                   "Print only lines of this event, for example RevokeKey, and of the approvals of such a change; "
                   "default: of all")
      ->type_name("NAME");
  verb->add_option("--outcome", wanted.outcome,
                   "Print only lines with this outcome: OK or a gRPC status code, for example PERMISSION_DENIED; "
                   "default: with any")
      ->type_name("CODE");
  verb->add_option("--since", wanted.since,
                   "Print only lines from this time on: a span before now such as -15m, -2h or -1d, a UTC day such as "
                   "2026-11-24, from its begin, or RFC 3339 in UTC; default: from the first")
      ->type_name("TIME");
  verb->add_option("--until", wanted.until,
                   "Print only lines before this time, written alike, or to the end of that day; default: to the last")
      ->type_name("TIME");
  verb->add_option(
          "--after-sequence", wanted.after_sequence,
          "Print only lines whose seq is larger, for a program that has all up to this one; lines that are in no "
          "FILE are told on standard error; default: from the first")
      ->check(WholeNumber())
      ->type_name("N");
  verb->add_flag("--follow", options.follow, "Keep printing lines that are added to the newest FILE");
}

}  // namespace assertion::cli
