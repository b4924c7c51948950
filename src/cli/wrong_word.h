#pragma once

#include <span>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace assertion::cli {

// A missing or wrong word of a command line, and the command whose --help tells more.
struct WrongWord {
  std::string message;
  std::string help;
};

// Finds the first word that is no command, option or argument of `root`, with the nearest one, or else the noun that no
// verb follows. `words` leaves out the program's name. The message is empty when neither is found.
WrongWord FindWrongWord(const CLI::App& root, std::span<const char* const> words);

// The same for a line with --help of an unknown command: CLI11 would give the help of the command before it.
WrongWord WrongWordOfHelp(const CLI::App& root, std::span<const char* const> words);

// What is wrong with the first "--name=" of `words`, or the first "--name" with an empty word behind it; empty: there
// is none. CLI11 would take the next word as the value of the one; most verbs would take the other for no option at
// all.
std::string WithoutValue(std::span<const char* const> words);

// CLI11's "files is required" with the name that --help has: "FILE is required".
std::string RequiredText(const CLI::App& root, std::string_view message);

}  // namespace assertion::cli
