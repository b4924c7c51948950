#include "cli/command_line.h"

#include <algorithm>

namespace assertion::cli {
namespace {

std::vector<std::string>& Words() {
  static std::vector<std::string> words;
  return words;
}

}  // namespace

std::string QuotedForShell(std::string_view word) {
  constexpr std::string_view kPlain = "-_./:=@%+,";
  const auto is_plain = [&](unsigned char octet) {
    return (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z') ||
           kPlain.contains(static_cast<char>(octet));
  };
  if (!word.empty() && std::ranges::all_of(word, is_plain)) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const auto octet : word) {
    quoted += octet == '\'' ? std::string("'\\''") : std::string(1, octet);
  }
  return quoted + "'";
}

void KeepCommandLine(std::span<const char* const> words) { Words().assign(words.begin(), words.end()); }

std::vector<std::string> WordsBehindDashes() {
  const auto dashes = std::ranges::find(Words(), "--");
  return dashes == Words().end() ? std::vector<std::string>() : std::vector<std::string>(dashes + 1, Words().end());
}

std::string CommandLineWith(std::string_view more, std::string_view replaced) {
  std::string line = "assertionctl";
  const auto& words = Words();
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!replaced.empty() && words[i] == replaced) {
      ++i;  // its value
    } else if (replaced.empty() || !words[i].starts_with(std::string(replaced) + '=')) {
      line += ' ' + QuotedForShell(words[i]);
    }
  }
  return line + ' ' + std::string(more);
}

}  // namespace assertion::cli
