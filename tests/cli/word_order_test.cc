#include "cli/word_order.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string>

namespace assertion::cli {
namespace {

using Order = std::vector<const char*>(const CLI::App& root, std::span<const char* const> words);

std::string InOrderOf(Order& order, const std::vector<const char*>& words) {
  CLI::App app;
  app.require_subcommand(1);
  app.add_subcommand("status");
  app.add_subcommand("key")->require_subcommand(1)->add_subcommand("list");
  std::string text;
  for (const auto* word : order(app, words)) {
    text += (text.empty() ? "" : " ") + std::string(word);
  }
  return text;
}

std::string Ordered(const std::vector<const char*>& words) { return InOrderOf(OutputOptionsLast, words); }
std::string Asked(const std::vector<const char*>& words) { return InOrderOf(HelpAsOption, words); }

TEST(WordOrder, OutputOptionsBeforeTheVerbGoToTheEnd) {
  EXPECT_EQ(Ordered({"p", "--json", "key", "list", "x"}), "p key list x --json");
  EXPECT_EQ(Ordered({"p", "key", "-o", "yaml", "list", "--", "-x"}), "p key list -o yaml -- -x");
  EXPECT_EQ(Ordered({"p", "--output=json", "status"}), "p status --output=json");
}

TEST(WordOrder, OtherWordsAndValuesStayWhereTheyAre) {
  EXPECT_EQ(Ordered({"p", "--server", "--json", "key", "list"}), "p --server --json key list");
  EXPECT_EQ(Ordered({"p", "key", "list", "--kid", "--json"}), "p key list --kid --json");
  EXPECT_EQ(Ordered({"p", "--", "--json"}), "p -- --json");
  EXPECT_EQ(Ordered({"p", "-o"}), "p -o");
  EXPECT_EQ(Ordered({"--json", "status"}), "--json status");
}

TEST(WordOrder, HelpBeforeACommandIsItsOption) {
  EXPECT_EQ(Asked({"p", "help"}), "p --help");
  EXPECT_EQ(Asked({"p", "help", "key", "list"}), "p key list --help");
  EXPECT_EQ(Asked({"p", "help", "key", "--json"}), "p key --json --help");
  EXPECT_EQ(Asked({"p", "help", "key", "lsit"}), "p key lsit");
  EXPECT_EQ(Asked({"p", "key", "help"}), "p key help");
  EXPECT_EQ(Asked({"p"}), "p");
  EXPECT_EQ(Asked({}), "");
}

}  // namespace
}  // namespace assertion::cli
