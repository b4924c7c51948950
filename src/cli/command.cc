#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace assertion::cli {

Command Command::AddNoun(const char* name, const char* summary) {
  auto* noun = app_.add_subcommand(name, summary)->require_subcommand(1)->fallthrough();
  return Under(*noun);
}

CLI::App* Command::Register(const VerbHelp& help, std::function<int()> run) {
  auto* verb = app_.add_subcommand(help.name, help.summary)->fallthrough();
  verb->footer("Examples:\n" + help.examples + (help.notes.empty() ? "" : "\n\n" + help.notes));
  verb->callback([&status = invocation_.status, verb, run = std::move(run)] {
    if (verb->get_subcommands().empty()) {
      status = run();
    }
  });
  return verb;
}

}  // namespace assertion::cli
