#pragma once

#include <span>
#include <vector>

namespace CLI {
class App;
}

namespace assertion::cli {

// The words of a command line with --json and --output behind the verb, wherever they stand: they are the verb's.
// `words` begins with the program's name.
std::vector<const char*> OutputOptionsLast(const CLI::App& root, std::span<const char* const> words);

}  // namespace assertion::cli
