// assertionctl audit key, head, verify, show.

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "audit/verification.h"
#include "cli/call.h"
#include "cli/finding.h"
#include "cli/instant.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kFollowPause{200};

int GetHead(const Options& options, const std::function<int(const v1::GetAuditHeadResponse&)>& use) {
  return Call<v1::GetAuditHeadRequest, v1::GetAuditHeadResponse>(options, &Connection::GetAuditHead, {}, use);
}

int ShowHead(const Options& options) {
  return GetHead(options, [&](const auto& head) {
    const ordered_json json = {
        {"sequence", head.sequence()}, {"hash", head.hash()}, {"checkpoint_sequence", head.checkpoint_sequence()}};
    return Write("", options.json ? json.dump(2) + "\n"
                                  : "sequence    " + std::to_string(head.sequence()) + "\nhash        " + head.hash() +
                                        "\ncheckpoint  " + std::to_string(head.checkpoint_sequence()) + "\n");
  });
}

const char* Name(audit::Tampering kind) {
  static constexpr std::array kNames = {"changed", "removed", "inserted", "duplicated", "reordered", "cut"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string Range(std::uint64_t first, std::uint64_t last) {
  return "sequences " + std::to_string(first) + " to " + std::to_string(last);
}

std::vector<Finding> Describe(const audit::Verification& found) {
  std::vector<Finding> findings;
  if (found.fault) {
    const auto& fault = *found.fault;
    findings.push_back({.name = Name(fault.kind),
                        .ok = false,
                        .text = fault.file + ":" + std::to_string(fault.line) + ": " + fault.text});
  } else {
    findings.push_back({.name = "chain", .ok = true, .text = Range(found.first, found.last) + " follow each other"});
  }
  findings.push_back({.name = "proven",
                      .ok = found.proven != 0,
                      .text = found.proven == 0 ? "nothing: there is no checkpoint before that"
                                                : Range(found.first, found.proven) + ", by " +
                                                      std::to_string(found.checkpoints) + " checkpoints"});
  if (!found.fault && found.proven != 0 && found.proven < found.last) {
    findings.push_back({.name = "not yet proven",
                        .ok = true,
                        .text = Range(found.proven + 1, found.last) +
                                ": no checkpoint covers that yet; lines can have been cut off there"});
  }
  for (const auto& span : found.doubtful) {
    findings.push_back({.name = "doubtful",
                        .ok = true,
                        .text = Range(span.first, span.last) +
                                ": left by a process that ended before its checkpoint; who could write the file then "
                                "could have written them"});
  }
  return findings;
}

// What assertiond keeps beside a log: `audit.log*` names that as well.
bool IsBesideALog(const std::string& file) { return file.ends_with(".lock") || file.ends_with(".torn"); }

int VerifyFiles(const Options& options) {
  const auto& asked = options.audit;
  const auto text = ReadText(asked.key_file);
  const auto keys = text ? audit::ParsePublicKeys(*text) : std::unexpected(text.error());
  if (!keys) {
    return Report(kFile, asked.key_file + ": " + keys.error().message, "take it with assertionctl audit key");
  }
  std::vector<std::unique_ptr<std::ifstream>> streams;
  std::vector<audit::Source> sources;
  for (const auto& file : asked.files) {
    if (IsBesideALog(file)) {
      continue;
    }
    streams.push_back(std::make_unique<std::ifstream>(file, std::ios::binary));
    if (!streams.back()->is_open() || streams.back()->peek() == std::ifstream::traits_type::eof()) {
      return Report(kFile, file + " cannot be read, or is empty", "name files of one audit log");
    }
    sources.push_back({.name = file, .stream = streams.back().get()});
  }
  if (sources.empty()) {
    return Report(kFile, "there is no file of an audit log among these", "name files of one audit log");
  }
  const auto found =
      audit::Verify(std::move(sources), *keys, {.first = asked.first_sequence, .last = asked.last_sequence});
  const auto findings = Describe(found);
  auto json = FindingsJson(findings);
  json["first_sequence"] = found.first;
  json["last_sequence"] = found.last;
  json["proven_sequence"] = found.proven;
  if (found.fault) {
    json["fault"] = {{"kind", Name(found.fault->kind)}, {"file", found.fault->file}, {"line", found.fault->line}};
  }
  const int status = Write("", options.json ? json.dump(2) + "\n" : FindingsText(findings));
  const bool good = !found.fault && found.proven != 0;
  return status != 0 || good ? status : kRefused;
}

// What audit show lets through.
class Filter {
 public:
  static Result<Filter> Of(const Options& options) {
    Filter filter(options);
    for (auto [text, time] :
         {std::pair(&options.audit.since, &filter.since_), {&options.audit.until, &filter.until_}}) {
      if (!text->empty()) {
        ASSIGN_OR_RETURN(const auto instant, ParseInstant(*text, SystemTime()));
        *time = instant;
      }
    }
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
    return is("client_id", options_.client_id) && is("caller", options_.audit.caller) &&
           is("jti", options_.audit.jti) && IsWithin(line->members.value("time", nlohmann::json()));
  }

 private:
  explicit Filter(const Options& options) : options_(options) {}

  bool IsWithin(const nlohmann::json& text) const {
    if (!since_ && !until_) {
      return true;
    }
    constexpr std::size_t kToSeconds = 19;
    const auto time = text.is_string() ? ParseInstant(text.get<std::string>().substr(0, kToSeconds) + "Z", Time())
                                       : Fail(Code::kInvalidArgument, "no time");
    return time && (!since_ || *time >= *since_) && (!until_ || *time < *until_);
  }

  const Options& options_;
  std::optional<Time> since_;
  std::optional<Time> until_;
};

// Prints the whole lines that the stream has now. What has no end yet is left for later.
void ShowLines(std::ifstream& stream, const Filter& filter) {
  for (std::string text;;) {
    const auto begin = stream.tellg();
    if (!std::getline(stream, text) || stream.eof()) {
      stream.clear();
      stream.seekg(begin);
      break;
    }
    if (filter.Lets(text)) {
      std::cout << Printable(text) << '\n';
    }
  }
  std::cout.flush();
}

bool IsSameFile(const struct stat& before, const std::string& path) {
  struct stat now{};
  return stat(path.c_str(), &now) != 0 || (now.st_ino == before.st_ino && now.st_dev == before.st_dev);
}

// Until standard output is closed or a signal ends it. A file that was rotated is read to its end first.
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

int ShowFiles(const Options& options) {
  const auto filter = Filter::Of(options);
  if (!filter) {
    return Report(kUsage, filter.error().message, "see assertionctl audit show --help");
  }
  std::ifstream stream;
  for (const auto& file : options.audit.files) {
    stream = std::ifstream(file, std::ios::binary);
    if (!stream.is_open()) {
      return ReportFile({.code = Code::kConfigInvalid, .message = "cannot read " + file, .detail = {}});
    }
    ShowLines(stream, *filter);
  }
  return options.audit.follow ? Follow(options.audit.files.back(), stream, *filter) : 0;
}

void AddFiles(CLI::App* verb, AuditOptions& audit) {
  verb->add_option("files", audit.files, "Of one audit log, in any order")->required()->type_name("FILE...");
}

void AddVerify(CLI::App* noun, Options& options, int& status) {
  auto& audit = options.audit;
  auto* verify = AddVerb(noun, "verify",
                         "Check an audit log; needs no server. Names the first line that was changed, removed, "
                         "reordered or inserted, or says how far all is proven",
                         "  assertionctl audit verify audit.log* --key audit.jwk --last-sequence 48210\n\n"
                         "Exit status: 0 nothing is wrong, 1 something is, 3 a file cannot be read",
                         status, [&options] { return VerifyFiles(options); });
  AddFiles(verify, audit);
  verify->add_option("--key", audit.key_file, "What audit key wrote, or a JWK Set of several")
      ->required()
      ->type_name("FILE");
  verify->add_option("--first-sequence", audit.first_sequence,
                     "Where the FILEs must begin; default 1; 0: anywhere, when older ones are not at hand");
  verify->add_option("--last-sequence", audit.last_sequence,
                     "How far they must go at least, from audit head. Without it lines cut off at the end are not "
                     "missed");
  AddJson(verify, options);
}

void AddShow(CLI::App* noun, Options& options, int& status) {
  auto& audit = options.audit;
  auto* show = AddVerb(noun, "show", "Print lines of an audit log as they stand there, JSON; needs no server",
                       "  assertionctl audit show audit.log --client-id orders --since 2026-11-24T06:00:00Z\n"
                       "  assertionctl audit show audit.log --follow",
                       status, [&options] { return ShowFiles(options); });
  AddFiles(show, audit);
  show->add_option("--client-id", options.client_id, "Of this OAuth 2.0 client")->type_name("ID");
  show->add_option("--caller", audit.caller, "Of this caller, for example uid:1000")->type_name("IDENTITY");
  show->add_option("--jti", audit.jti, "Of the assertion with this jti")->type_name("JTI");
  show->add_option("--since", audit.since, "From this moment on, RFC 3339 in UTC")->type_name("TIME");
  show->add_option("--until", audit.until, "Before this moment")->type_name("TIME");
  show->add_flag("--follow", audit.follow, "Go on with what is written to the last FILE");
}

}  // namespace

void AddAuditNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "audit", "The audit log: what was signed, and what operators did");
  auto* key = AddVerb(
      noun, "key", "The public key that the log is checked with, a JWK (RFC 7517)",
      "  assertionctl audit key --out audit.jwk", status,
      [&options] { return GetHead(options, [&](const auto& head) { return Write(options.out, head.jwk() + "\n"); }); });
  AddOut(key, options);
  auto* head = AddVerb(noun, "head", "How far the log goes: keep it elsewhere, for audit verify --last-sequence",
                       "  assertionctl audit head", status, [&options] { return ShowHead(options); });
  AddJson(head, options);
  AddVerify(noun, options, status);
  AddShow(noun, options, status);
}

}  // namespace assertion::cli
