#include "cli/word_order.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "cli/command_tree.h"

namespace assertion::cli {
namespace {

// How many words from `at` on are an output option; 0: none.
std::size_t OutputWords(std::span<const char* const> words, std::size_t at) {
  const std::string_view word = words[at];
  if (word == "--json" || word.starts_with("--output=")) {
    return 1;
  }
  return (word == "--output" || word == "-o") && at + 1 < words.size() ? 2 : 0;
}

}  // namespace

std::vector<const char*> HelpAsOption(const CLI::App& root, std::span<const char* const> words) {
  std::vector<const char*> as_option(words.begin(), words.end());
  if (words.size() < 2 || std::string_view(words[1]) != "help") {
    return as_option;
  }
  as_option.erase(as_option.begin() + 1);
  const auto* app = &root;
  for (std::size_t at = 2; at < words.size() && app != nullptr && !std::string_view(words[at]).starts_with('-'); ++at) {
    app = FindCommand(*app, words[at]);
  }
  if (app != nullptr) {
    as_option.push_back("--help");
  }
  return as_option;
}

std::vector<const char*> OutputOptionsLast(const CLI::App& root, std::span<const char* const> words) {
  std::vector<const char*> ordered;
  std::vector<const char*> moved;
  const auto* app = &root;
  std::size_t at = 0;
  // Behind the verb all options are its own already.
  for (; at < words.size() && app->get_require_subcommand_min() > 0 && std::string_view(words[at]) != "--"; ++at) {
    if (const auto count = at == 0 ? 0 : OutputWords(words, at); count > 0) {
      moved.insert(moved.end(), words.begin() + static_cast<std::ptrdiff_t>(at),
                   words.begin() + static_cast<std::ptrdiff_t>(at + count));
      at += count - 1;
      continue;
    }
    ordered.push_back(words[at]);
    if (std::string_view(words[at]) == "--server" && at + 1 < words.size()) {
      ordered.push_back(words[++at]);
    } else if (const auto* command = at == 0 ? nullptr : FindCommand(*app, words[at])) {
      app = command;
    }
  }
  const auto rest = words.subspan(at);
  const auto end =
      std::ranges::find(rest, std::string_view("--"), [](const char* word) { return std::string_view(word); });
  ordered.insert(ordered.end(), rest.begin(), end);
  ordered.insert(ordered.end(), moved.begin(), moved.end());
  ordered.insert(ordered.end(), end, rest.end());
  return ordered;
}

}  // namespace assertion::cli
