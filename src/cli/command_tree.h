#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace assertion::cli {

// The tree of commands and options that the parser, the messages about wrong words and the completion share.

// The words that lead to the command, "assertionctl" first.
std::string PathOf(const CLI::App& app);

// The named commands beneath `app`. Option groups are commands without a name.
std::vector<const CLI::App*> CommandsOf(const CLI::App& app);

// Null: there is none.
const CLI::App* FindCommand(const CLI::App& app, std::string_view word);

// The option of `app` or of a command above it: every command falls through to those. Null: there is none.
const CLI::Option* FindOption(const CLI::App& app, const std::string& name);

// Those that FindOption finds, and the positional ones of `app`.
std::vector<const CLI::Option*> OptionsOf(const CLI::App& app);

}  // namespace assertion::cli
