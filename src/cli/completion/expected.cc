#include "cli/completion/expected.h"

#include <CLI/CLI.hpp>
#include <set>
#include <string_view>

#include "cli/command_tree.h"

namespace assertion::cli {
namespace {

// How far the words before the last one lead.
struct Position {
  const CLI::App* app;
  const CLI::Option* awaits_value = nullptr;
  std::set<const CLI::Option*> given = {};  // NOLINT(readability-redundant-member-init)
  std::size_t arguments = 0;                // positional ones of `app`
  bool only_arguments = false;              // after "--"
};

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

void Keep(const CLI::Option& option, const std::string& value, Expected& expected) {
  if (option.check_lname("server")) {
    expected.server = value;
  } else if (option.check_lname("client-id")) {
    expected.client_id = value;
  }
}

// Takes the option at words[at] with its value. Returns the index of the last word that it used.
std::size_t TakeOption(std::span<const std::string> words, std::size_t at, Position& position, Expected& expected) {
  const auto equals = words[at].find('=');
  const auto* option = FindOption(*position.app, words[at].substr(0, equals));
  if (option == nullptr) {
    return at;
  }
  position.given.insert(option);
  if (equals != std::string::npos) {
    Keep(*option, words[at].substr(equals + 1), expected);
  } else if (TakesValue(*option) && at + 1 < words.size()) {
    Keep(*option, words[++at], expected);
  } else if (TakesValue(*option)) {
    position.awaits_value = option;
  }
  return at;
}

Position Walk(const CLI::App& root, std::span<const std::string> words, Expected& expected) {
  Position position{.app = &root};
  for (std::size_t at = 0; at < words.size(); ++at) {
    const auto& word = words[at];
    if (!position.only_arguments && word == "--") {
      position.only_arguments = true;
    } else if (!position.only_arguments && word.starts_with("--")) {
      at = TakeOption(words, at, position, expected);
    } else if (const auto* command = position.only_arguments ? nullptr : FindCommand(*position.app, word)) {
      position.app = command;
      position.arguments = 0;
    } else if (position.only_arguments || !word.starts_with('-')) {
      ++position.arguments;
    }
  }
  return position;
}

// The first clause: shells show one line.
std::string Clause(const std::string& description) {
  const auto end = description.find_first_of(".;:(\n");
  return end == std::string::npos ? description : description.substr(0, description.find_last_not_of(' ', end - 1) + 1);
}

void Offer(const std::string& word, const std::string& description, Expected& expected) {
  if (word.starts_with(expected.begun)) {
    expected.words.push_back({.word = word, .meaning = Clause(description)});
  }
}

void OfferOptions(const Position& position, Expected& expected) {
  for (const auto* option : OptionsOf(*position.app)) {
    const bool repeatable = option->get_items_expected_max() > 1;
    if (!option->get_lnames().empty() && !option->get_group().empty() &&
        (repeatable || !position.given.contains(option))) {
      Offer("--" + option->get_lnames().front(), option->get_description(), expected);
    }
  }
}

// The values of an option that takes one of a few are in its type's name: "FORMAT:{pem,der}".
void OfferValues(const CLI::Option& option, Expected& expected) {
  const auto type = option.get_type_name();
  const auto opened = type.find('{');
  const auto closed = type.find('}');
  if (option.check_lname("client-id") || type == "CLIENT-ID") {
    expected.kind = Expected::Kind::kClientIds;
  } else if (option.check_lname("kid")) {
    expected.kind = Expected::Kind::kKids;
  } else if (type.starts_with("FILE")) {
    expected.kind = Expected::Kind::kFiles;
  } else if (opened < closed && closed != std::string::npos) {
    auto values = std::string_view(type).substr(opened + 1, closed - opened - 1);
    while (!values.empty()) {
      const auto value = values.substr(0, values.find(','));
      values.remove_prefix(std::min(value.size() + 1, values.size()));
      Offer(std::string(value.substr(value.find_first_not_of(' '))), "", expected);
    }
  }
}

// The positional argument that comes after `position.arguments` others; the last one may take several. Null: none.
const CLI::Option* NextArgument(const Position& position) {
  std::size_t count = 0;
  for (const auto* option : position.app->get_options()) {
    if (option->get_positional() && (count++ == position.arguments || option->get_items_expected_max() > 1)) {
      return option;
    }
  }
  return nullptr;
}

void OfferWords(const Position& position, Expected& expected) {
  if (!position.only_arguments && position.arguments == 0) {
    for (const auto* command : CommandsOf(*position.app)) {
      Offer(command->get_name(), command->get_description(), expected);
    }
  }
  if (position.app->get_require_subcommand_min() > 0) {
    return;
  }
  if (const auto* argument = NextArgument(position)) {
    OfferValues(*argument, expected);
  } else if (!position.only_arguments) {
    OfferOptions(position, expected);
  }
}

}  // namespace

Expected ExpectedAt(const CLI::App& root, std::span<const std::string> typed) {
  Expected expected;
  if (typed.empty()) {
    OfferWords({.app = &root}, expected);
    return expected;
  }
  const auto position = Walk(root, typed.first(typed.size() - 1), expected);
  expected.begun = typed.back();
  if (position.awaits_value != nullptr) {
    OfferValues(*position.awaits_value, expected);
  } else if (position.only_arguments || !expected.begun.starts_with('-')) {
    OfferWords(position, expected);
  } else if (const auto equals = expected.begun.find('='); equals == std::string::npos) {
    OfferOptions(position, expected);
  } else if (const auto* option = FindOption(*position.app, expected.begun.substr(0, equals))) {
    expected.before = expected.begun.substr(0, equals + 1);
    expected.begun.erase(0, equals + 1);
    if (TakesValue(*option)) {
      OfferValues(*option, expected);
    }
  }
  return expected;
}

}  // namespace assertion::cli
