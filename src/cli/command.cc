#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <string_view>
#include <utility>

namespace assertion::cli {
namespace {

constexpr std::string_view kExamplesHead = "Examples:\n";

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

// Of a noun: the exit statuses of assertionctl, and an example of each verb.
std::string NounFooter(const CLI::App& noun) {
  const auto whole = noun.get_parent()->get_footer();
  auto text = whole.substr(0, whole.find(kExamplesHead)) + "Examples:";
  for (const auto* verb : noun.get_subcommands([](const CLI::App*) { return true; })) {
    text += FirstExample(*verb);
  }
  return text;
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
  verb->footer(footer.append(kExamplesHead) + help.examples + (help.notes.empty() ? "" : "\n\n" + help.notes));
  verb->callback([&status = invocation_.status, verb, run = std::move(run)] {
    if (verb->get_subcommands().empty()) {
      status = run();
    }
  });
  return verb;
}

}  // namespace assertion::cli
