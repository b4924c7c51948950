#pragma once

#include <span>
#include <string>

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

}  // namespace assertion::cli
