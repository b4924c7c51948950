#include "cli/wrong_word.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

void AddCommandsBeneath(const CLI::App& app, std::vector<const CLI::App*>& found) {
  for (const auto* command : CommandsOf(app)) {
    found.push_back(command);
    AddCommandsBeneath(*command, found);
  }
}

// The commands that `word` may mean in place of one of `app`: those of this name beneath it, whose noun was left out;
// else the nearest one of its own; else those beneath it with the nearest name.
std::string MeantCommands(const CLI::App& app, std::string_view word) {
  std::vector<const CLI::App*> beneath;
  AddCommandsBeneath(app, beneath);
  const auto paths = [&](std::string_view name) {
    std::string text;
    for (const auto* command : beneath) {
      if (command->get_name() == name) {
        text += (text.empty() ? "; did you mean \"" : " or \"") + PathOf(*command) + '"';
      }
    }
    return text.empty() ? text : text + '?';
  };
  const auto nearest = [&](const std::vector<const CLI::App*>& commands) {
    std::vector<std::string> names;
    std::ranges::transform(commands, std::back_inserter(names), &CLI::App::get_name);
    return std::string(NearestWord(word, std::vector<std::string_view>(names.begin(), names.end())));
  };
  if (auto same = paths(word); !same.empty()) {
    return same;
  }
  if (const auto own = nearest(CommandsOf(app)); !own.empty()) {
    return "; did you mean \"" + own + "\"?";
  }
  const auto other = nearest(beneath);
  return other.empty() ? "" : paths(other);
}

WrongWord UnknownCommand(const CLI::App& noun, std::string_view word) {
  return {.message =
              "unknown command \"" + std::string(word) + "\" for \"" + PathOf(noun) + "\"" + MeantCommands(noun, word),
          .help = PathOf(noun) + " --help"};
}

WrongWord UnknownOption(const CLI::App& command, const std::string& name) {
  std::vector<std::string> names;
  for (const auto* option : OptionsOf(command)) {
    for (const auto& long_name : option->get_lnames()) {
      names.push_back("--" + long_name);
    }
  }
  return {.message = "unknown option \"" + name + "\" for \"" + PathOf(command) + "\"" +
                     DidYouMean(name, std::vector<std::string_view>(names.begin(), names.end())),
          .help = PathOf(command) + " --help"};
}

// How many positional arguments the command takes.
std::size_t ArgumentsOf(const CLI::App& command) {
  std::size_t count = 0;
  for (const auto* option : command.get_options([](const CLI::Option* one) { return one->get_positional(); })) {
    if (option->get_items_expected_max() > 1) {
      return std::numeric_limits<std::size_t>::max();
    }
    ++count;
  }
  return count;
}

// A command line that runs another: its own options end where the other's begin.
std::string DashesBefore(const CLI::App& command, std::string_view first) {
  return command.get_option_no_throw("command") == nullptr
             ? ""
             : "; write -- before the command to run: -- " + std::string(first);
}

// The name in a word that begins with a hyphen: "--kid" of "--kid=x", "-o" of "-ojson".
std::string OptionName(const std::string& word) {
  return word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
}

}  // namespace

std::string WithoutValue(std::span<const char* const> words) {
  std::string_view before;
  for (const std::string_view word : words) {
    if (word == "--") {
      break;
    }
    if (word.starts_with("--") && word.ends_with('=') && std::ranges::count(word, '=') == 1) {
      return std::string(word) + " has no value: a variable may be empty";
    }
    if (word.empty() && before.starts_with("--") && !before.contains('=')) {
      return "an empty word follows " + std::string(before) + ": a variable may be empty";
    }
    before = word;
  }
  return "";
}

std::string RequiredText(const CLI::App& root, std::string_view message) {
  const auto name = message.substr(0, message.find(' '));
  const auto* app = &root;
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
  }
  const auto* option = name.starts_with('-') ? nullptr : app->get_option_no_throw(std::string(name));
  return (option == nullptr ? std::string(name) : option->get_type_name()) + std::string(message.substr(name.size()));
}

WrongWord FindWrongWord(const CLI::App& root, std::span<const char* const> words) {
  const auto* app = &root;
  std::size_t arguments = 0;  // of `app`
  std::string first;          // of its arguments
  for (std::size_t at = 0; at < words.size(); ++at) {
    const std::string word = words[at];
    if (word == "--") {
      break;  // only positional arguments follow
    }
    if (word.size() > 1 && word.starts_with('-')) {
      const auto name = OptionName(word);
      const auto* option = FindOption(*app, name);
      if (option == nullptr) {
        auto wrong = UnknownOption(*app, name);
        wrong.message += arguments == 0 ? "" : DashesBefore(*app, first);
        return wrong;
      }
      if (name == word && option->get_items_expected_min() > 0) {
        ++at;  // its value
      }
    } else if (const auto* command = FindCommand(*app, word)) {
      app = command;
      arguments = 0;
    } else if (first = arguments == 0 ? word : first; ++arguments > ArgumentsOf(*app)) {
      return CommandsOf(*app).empty()
                 ? WrongWord{.message = "unexpected argument \"" + word + "\" for \"" + PathOf(*app) + "\"",
                             .help = PathOf(*app) + " --help"}
                 : UnknownCommand(*app, word);
    }
  }
  if (app->get_require_subcommand_min() > 0) {
    return {.message = "\"" + PathOf(*app) + "\" needs a command", .help = PathOf(*app) + " --help lists them"};
  }
  return {.message = "", .help = PathOf(*app) + " --help"};
}

WrongWord WrongWordOfHelp(const CLI::App& root, std::span<const char* const> words) {
  const auto is = [](std::string_view wanted) { return [wanted](std::string_view word) { return word == wanted; }; };
  const auto end = std::find_if(words.begin(), words.end(), is("--"));
  auto wrong = std::any_of(words.begin(), end, is("--help")) || std::any_of(words.begin(), end, is("-h"))
                   ? FindWrongWord(root, words)
                   : WrongWord();
  return wrong.message.starts_with("unknown command ") ? wrong : WrongWord();
}

}  // namespace assertion::cli
