#pragma once

#include <span>
#include <vector>

namespace CLI {
class App;
}

namespace assertion::cli {

// `help` before the first command, as `assertionctl help key rotate`, becomes --help at the end. Where a word behind it
// names no command, `help` alone is left out, and the line is refused for that word. `words` begins with the program's
// name.
std::vector<const char*> HelpAsOption(const CLI::App& root, std::span<const char* const> words);

// The words of a command line with --json and --output behind the verb, wherever they stand: they are the verb's.
// `words` begins with the program's name.
std::vector<const char*> OutputOptionsLast(const CLI::App& root, std::span<const char* const> words);

}  // namespace assertion::cli
