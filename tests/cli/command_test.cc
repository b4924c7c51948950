#include "cli/command.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "cli/output.h"

namespace assertion::cli {
namespace {

struct EchoOptions {
  std::string word;
};

// What the last verb that ran was given.
std::string ran;

int Echo(const EchoOptions& options, const std::string& server) {
  ran = "echo " + options.word + " to " + server;
  return 7;
}

int EchoLocally(const EchoOptions& options) {
  ran = "local echo " + options.word;
  return 8;
}

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    ran.clear();
    app_.require_subcommand(1);
    app_.add_option("--server", invocation_.server);
    auto noun = Command(app_, invocation_).AddNoun("noun", "A noun");
    const auto [echo, options] = noun.AddVerb(
        {.name = "echo", .summary = "Echo", .examples = "  noun echo --word w \\\n    --server unix:/s\n  noun echo"},
        Echo);
    echo->add_option("--word", options.word);
    auto beneath = noun.Under(*echo);
    const auto [local, local_options] = beneath.AddVerb({.name = "locally",
                                                         .summary = "Echo here",
                                                         .examples = "  noun echo locally w",
                                                         .notes = "A note",
                                                         .statuses = {{0, "echoed"}, {12, "no echo"}}},
                                                        EchoLocally);
    local->add_option("word", local_options.word);
  }

  CLI::App app_;
  Invocation invocation_;
};

TEST_F(CommandTest, AVerbRunsWithItsOptionsAndTheServerWhereverThatStands) {
  app_.parse("noun echo --word w --server unix:/s");
  EXPECT_EQ(ran, "echo w to unix:/s");
  EXPECT_EQ(invocation_.status, 7);
}

TEST_F(CommandTest, AVerbBeneathAnotherRunsInItsPlace) {
  app_.parse("noun echo locally w");
  EXPECT_EQ(ran, "local echo w");
  EXPECT_EQ(invocation_.status, 8);
}

TEST_F(CommandTest, ANounAloneIsAWrongCommandLine) {
  EXPECT_THROW(app_.parse("noun"), CLI::ParseError);
  EXPECT_EQ(ran, "");
}

TEST_F(CommandTest, HelpEndsWithExamplesAndThenNotes) {
  const auto* echo = app_.get_subcommand("noun")->get_subcommand("echo");
  EXPECT_TRUE(echo->get_footer().ends_with("\n\nExamples:\n  noun echo --word w \\\n    --server unix:/s\n  noun echo"))
      << echo->get_footer();
  EXPECT_TRUE(
      echo->get_subcommand("locally")->get_footer().ends_with("\n\nExamples:\n  noun echo locally w\n\nA note"));
}

TEST_F(CommandTest, HelpNamesTheServersOptionWhereAServerIsAsked) {
  const auto* echo = app_.get_subcommand("noun")->get_subcommand("echo");
  EXPECT_NE(echo->get_footer().find("--server unix:/PATH"), std::string::npos);
  EXPECT_EQ(echo->get_subcommand("locally")->get_footer().find("--server"), std::string::npos);
}

TEST_F(CommandTest, HelpOfAVerbHasItsOwnExitStatuses) {
  const auto* echo = app_.get_subcommand("noun")->get_subcommand("echo");
  EXPECT_TRUE(
      echo->get_footer().contains("\n\nExit status:\n  0  done\n  1  the server refused\n  2  wrong command line\n"
                                  "  3  standard output cannot be written\n  4  the server cannot be reached\n\n"))
      << echo->get_footer();
  EXPECT_TRUE(echo->get_subcommand("locally")->get_footer().starts_with(
      "Exit status:\n  0  echoed\n  2  wrong command line\n  3  standard output cannot be written\n  12  no echo\n\n"))
      << echo->get_subcommand("locally")->get_footer();
}

TEST_F(CommandTest, HelpOfANounHasTheExitStatusesOfItsVerbsAndOneExampleOfEach) {
  auto noun = Command(app_, invocation_).AddNoun("other", "Another noun");
  noun.AddVerb<EchoOptions>(
      {.name = "one", .summary = "One", .examples = "  other one\n  other one again", .statuses = {{12, "no one"}}},
      EchoLocally);
  noun.AddVerb<EchoOptions>({.name = "two", .summary = "Two", .examples = "  other two \\\n    more"}, EchoLocally);
  EXPECT_EQ(app_.get_subcommand("other")->get_footer(),
            "Exit status:\n  0  done\n  2  wrong command line\n  3  standard output cannot be written\n  12  no one\n\n"
            "Examples:\n  other one\n  other two \\\n    more\n");
}

// A status of several meanings would stand there as often as verbs differ.
TEST_F(CommandTest, HelpOfANounHasEachExitStatusOnce) {
  auto noun = Command(app_, invocation_).AddNoun("other", "Another noun");
  noun.AddVerb<EchoOptions>(
      {.name = "one", .summary = "One", .examples = "  other one", .statuses = {{kRefused, "no one"}}}, EchoLocally);
  noun.AddVerb<EchoOptions>(
      {.name = "two", .summary = "Two", .examples = "  other two", .statuses = {{kRefused, "no two"}}}, EchoLocally);
  EXPECT_EQ(app_.get_subcommand("other")->get_footer(),
            "Exit status:\n  0  done\n  1  refused, or something is wrong\n  2  wrong command line\n"
            "  3  standard output cannot be written\nassertionctl other VERB --help says what each means there\n\n"
            "Examples:\n  other one\n  other two\n");
}

}  // namespace
}  // namespace assertion::cli
