#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "cli/command_tree.h"
#include "cli/output.h"

namespace assertion::cli {
namespace {

constexpr std::string_view kExamplesHead = "Examples:\n";
constexpr std::string_view kStatusHead = "Exit status:\n";

std::string ExitStatusText(const VerbHelp& help, bool asks_server) {
  auto statuses = help.statuses;
  statuses.insert({{0, "done"}, {kUsage, "wrong command line"}, {kFile, "standard output cannot be written"}});
  if (asks_server) {
    statuses.insert({{kRefused, "the server refused"}, {kUnreachable, "the server cannot be reached"}});
  }
  std::string text(kStatusHead);
  for (const auto& [status, meaning] : statuses) {
    text += "  " + std::to_string(status) + "  " + meaning + "\n";
  }
  return text + "\n";
}

// What a status means in general, where verbs of a noun differ.
std::string GeneralMeaning(int status) {
  switch (status) {
    case kRefused:
      return "refused, or something is wrong";
    case kUsage:
      return "wrong command line";
    case kFile:
      return "a file or the configuration cannot be used";
    case kUnreachable:
      return "a server cannot be reached";
    case kRefusedByIdentityServer:
      return "the identity server refused";
    default:
      return "done";
  }
}

// The lines of a verb's exit statuses, by status.
void AddStatusLines(const CLI::App& verb, std::map<int, std::set<std::string>>& lines) {
  const auto footer = verb.get_footer();
  std::istringstream text(footer.substr(std::min(footer.find(kStatusHead), footer.size())));
  std::string line;
  for (std::getline(text, line); std::getline(text, line) && !line.empty();) {
    lines[std::stoi(line)].insert(line);
  }
}

// The first example of a verb, with the lines that continue it.
std::string FirstExample(const CLI::App& verb) {
  const auto footer = verb.get_footer();
  const auto examples = footer.find(kExamplesHead);
  if (examples == std::string::npos) {
    return {};
  }
  const auto begin = examples + kExamplesHead.size();
  auto end = footer.find('\n', begin);
  while (end != std::string::npos && footer[end - 1] == '\\') {
    end = footer.find('\n', end + 1);
  }
  return "\n" + footer.substr(begin, end == std::string::npos ? end : end - begin);
}

// Of a noun: the exit statuses of its verbs, and an example of each.
std::string NounFooter(const CLI::App& noun) {
  std::map<int, std::set<std::string>> statuses;
  std::string examples;
  for (const auto* verb : noun.get_subcommands([](const CLI::App*) { return true; })) {
    AddStatusLines(*verb, statuses);
    examples += FirstExample(*verb);
  }
  std::string text(kStatusHead);
  bool differ = false;
  for (const auto& [status, lines] : statuses) {
    differ = differ || lines.size() > 1;
    text += (lines.size() == 1 ? *lines.begin() : "  " + std::to_string(status) + "  " + GeneralMeaning(status)) + "\n";
  }
  return text + (differ ? PathOf(noun) + " VERB --help says what each means there\n" : "") + "\nExamples:" + examples;
}

}  // namespace

Command Command::AddNoun(const char* name, const char* summary) {
  auto* noun = app_.add_subcommand(name, summary)->require_subcommand(1)->fallthrough();
  noun->footer("");  // that of assertionctl, which CLI11 would put below
  noun->footer([noun] { return NounFooter(*noun); });
  return Under(*noun);
}

CLI::App* Command::Register(const VerbHelp& help, bool asks_server, std::function<int()> run) {
  auto* verb = app_.add_subcommand(help.name, help.summary)->fallthrough();
  std::string footer;
  if (asks_server) {  // an option of assertionctl itself, which may stand behind the verb too
    footer =
        "Server:\n  --server unix:/PATH         assertiond's address; default: $ASSERTIOND_SERVER, else\n"
        "                              " +
        Invocation().server + "\n\n";
  }
  footer += ExitStatusText(help, asks_server);
  verb->footer(footer.append(kExamplesHead) + help.examples + (help.notes.empty() ? "" : "\n\n" + help.notes));
  verb->callback([&status = invocation_.status, verb, run = std::move(run)] {
    if (verb->get_subcommands().empty()) {
      status = run();
    }
  });
  return verb;
}

}  // namespace assertion::cli
