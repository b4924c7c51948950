#include "cli/command_tree.h"

#include <CLI/CLI.hpp>

namespace assertion::cli {
namespace {

// Options of the groups within `app` count as its own.
void AddOwnOptions(const CLI::App& app, std::vector<const CLI::Option*>& options) {
  for (const auto* option : app.get_options()) {
    options.push_back(option);
  }
  for (const auto* group : app.get_subcommands([](const CLI::App* part) { return part->get_name().empty(); })) {
    AddOwnOptions(*group, options);
  }
}

}  // namespace

std::string PathOf(const CLI::App& app) {
  return app.get_parent() == nullptr ? "assertionctl" : PathOf(*app.get_parent()) + " " + app.get_name();
}

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); });
}

const CLI::App* FindCommand(const CLI::App& app, std::string_view word) {
  for (const auto* command : CommandsOf(app)) {
    if (command->get_name() == word) {
      return command;
    }
  }
  return nullptr;
}

const CLI::Option* FindOption(const CLI::App& app, const std::string& name) {
  const auto* option = app.get_option_no_throw(name);
  return option != nullptr || app.get_parent() == nullptr ? option : FindOption(*app.get_parent(), name);
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  AddOwnOptions(app, options);
  for (const auto* above = app.get_parent(); above != nullptr; above = above->get_parent()) {
    std::vector<const CLI::Option*> theirs;
    AddOwnOptions(*above, theirs);
    for (const auto* option : theirs) {
      if (!option->get_positional() && FindOption(app, option->get_name()) == option) {  // not hidden by another
        options.push_back(option);
      }
    }
  }
  return options;
}

}  // namespace assertion::cli
