#include "cli/completion/expected.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

namespace assertion::cli {
namespace {

using Words = std::vector<std::string>;
using Kind = Expected::Kind;

class ExpectedTest : public testing::Test {
 protected:
  ExpectedTest() {
    app_.require_subcommand(1);
    app_.add_option("--server", text_);
    auto* key = app_.add_subcommand("key", "Keys. More of them")->require_subcommand(1)->fallthrough();
    auto* evidence = key->add_subcommand("evidence", "Evidence")->fallthrough();
    evidence->add_option("--client-id", text_, "The client (its id)")->type_name("ID");
    evidence->add_option("--kid", text_)->type_name("KID");
    evidence->add_option("--format", text_)->check(CLI::IsMember({"pem", "der"}))->type_name("FORMAT");
    evidence->add_option("--out", text_)->type_name("FILE");
    evidence->add_option("--claim", texts_);
    evidence->add_flag("--json", flag_);
    evidence->add_subcommand("verify", "Verify")->fallthrough()->add_option("file", text_)->type_name("FILE");
  }

  Expected At(const Words& typed) const { return ExpectedAt(app_, typed); }
  Words WordsAt(const Words& typed) const {
    Words words;
    for (const auto& candidate : At(typed).words) {
      words.push_back(candidate.word);
    }
    return words;
  }

  CLI::App app_;
  std::string text_;
  std::vector<std::string> texts_;
  bool flag_ = false;
};

TEST_F(ExpectedTest, CommandsWithTheFirstClauseOfWhatTheyMean) {
  const auto expected = At({"k"});
  ASSERT_EQ(expected.words.size(), 1U);
  EXPECT_EQ(expected.words.front().word, "key");
  EXPECT_EQ(expected.words.front().meaning, "Keys");
  EXPECT_EQ(WordsAt({}), Words{"key"});
  EXPECT_EQ(WordsAt({"key", ""}), Words{"evidence"});
  EXPECT_EQ(WordsAt({"key", "evidence", "v"}), Words{"verify"});
  EXPECT_EQ(WordsAt({"nonsense", "k"}), Words{});
}

TEST_F(ExpectedTest, OptionsOfTheCommandAndOfThoseAboveIt) {
  EXPECT_EQ(WordsAt({"key", "evidence", "--s"}), Words{"--server"});
  EXPECT_EQ(WordsAt({"key", "evidence", "--k"}), Words{"--kid"});
}

TEST_F(ExpectedTest, AnOptionThatStandsOnTheLineIsOfferedAgainIfItMayBeRepeated) {
  EXPECT_EQ(WordsAt({"key", "evidence", "--json", "--js"}), Words{});
  EXPECT_EQ(WordsAt({"key", "evidence", "--claim", "a=1", "--cla"}), Words{"--claim"});
}

TEST_F(ExpectedTest, ValuesThatAnOptionTakes) {
  EXPECT_EQ(WordsAt({"key", "evidence", "--format", ""}), (Words{"pem", "der"}));
  EXPECT_EQ(WordsAt({"key", "evidence", "--format=d"}), Words{"der"});
  EXPECT_EQ(At({"key", "evidence", "--format=d"}).before, "--format=");
  EXPECT_EQ(WordsAt({"key", "evidence", "--nonsense=d"}), Words{});
  EXPECT_EQ(WordsAt({"key", "evidence", "--json=t"}), Words{});
}

TEST_F(ExpectedTest, FilesClientsAndKids) {
  EXPECT_EQ(At({"key", "evidence", "--out", "a"}).kind, Kind::kFiles);
  EXPECT_EQ(At({"key", "evidence", "verify", "a"}).kind, Kind::kFiles);
  EXPECT_EQ(At({"key", "evidence", "--client-id", "a"}).kind, Kind::kClientIds);
  const auto kids = At({"--server", "unix:/s", "key", "evidence", "--client-id=orders", "--kid=-a"});
  EXPECT_EQ(kids.kind, Kind::kKids);
  EXPECT_EQ(kids.before, "--kid=");
  EXPECT_EQ(kids.begun, "-a");
  EXPECT_EQ(kids.client_id, "orders");
  EXPECT_EQ(kids.server, "unix:/s");
}

TEST_F(ExpectedTest, BehindTwoHyphensOnlyArguments) {
  EXPECT_EQ(WordsAt({"key", "evidence", "--", "--k"}), Words{});
  EXPECT_EQ(At({"key", "evidence", "verify", "--", "--k"}).kind, Kind::kFiles);
}

}  // namespace
}  // namespace assertion::cli
