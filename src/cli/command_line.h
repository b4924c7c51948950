#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assertion::cli {

// A word as a shell takes it, to be pasted.
std::string QuotedForShell(std::string_view word);

// Keeps the words of the command line as they came.
void KeepCommandLine(std::span<const char* const> words);

// The words behind the first "--": a command to run. CLI11 takes one such as "[a,b]" apart.
std::vector<std::string> WordsBehindDashes();

// The command line with more words at its end, quoted for a shell, to be pasted. Words that an option of `replaced` and
// its value take are left out.
std::string CommandLineWith(std::string_view more, std::string_view replaced = {});

}  // namespace assertion::cli
