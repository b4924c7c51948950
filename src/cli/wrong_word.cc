#include "cli/wrong_word.h"

#include <CLI/CLI.hpp>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

std::string Nearest(std::string_view word, const std::vector<std::string>& names) {
  return DidYouMean(word, std::vector<std::string_view>(names.begin(), names.end()));
}

WrongWord UnknownCommand(const CLI::App& noun, std::string_view word) {
  std::vector<std::string> names;
  for (const auto* command : CommandsOf(noun)) {
    names.push_back(command->get_name());
  }
  return {
      .message = "unknown command \"" + std::string(word) + "\" for \"" + PathOf(noun) + "\"" + Nearest(word, names),
      .help = PathOf(noun) + " --help"};
}

WrongWord UnknownOption(const CLI::App& command, const std::string& name) {
  std::vector<std::string> names;
  for (const auto* option : OptionsOf(command)) {
    for (const auto& long_name : option->get_lnames()) {
      names.push_back("--" + long_name);
    }
  }
  return {.message = "unknown option \"" + name + "\" for \"" + PathOf(command) + "\"" + Nearest(name, names),
          .help = PathOf(command) + " --help"};
}

}  // namespace

WrongWord FindWrongWord(const CLI::App& root, std::span<const char* const> words) {
  const auto* app = &root;
  for (std::size_t at = 0; at < words.size(); ++at) {
    const std::string word = words[at];
    if (word == "--") {
      break;  // only positional arguments follow
    }
    if (word.starts_with("--")) {
      const auto name = word.substr(0, word.find('='));
      const auto* option = FindOption(*app, name);
      if (option == nullptr) {
        return UnknownOption(*app, name);
      }
      if (name == word && option->get_items_expected_min() > 0) {
        ++at;  // its value
      }
    } else if (const auto* command = FindCommand(*app, word)) {
      app = command;
    } else if (app->get_require_subcommand_min() > 0 && !word.starts_with('-')) {
      return UnknownCommand(*app, word);
    }
  }
  if (app->get_require_subcommand_min() > 0) {
    return {.message = "\"" + PathOf(*app) + "\" needs a command", .help = PathOf(*app) + " --help lists them"};
  }
  return {};
}

}  // namespace assertion::cli
