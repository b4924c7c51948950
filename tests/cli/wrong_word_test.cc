#include "cli/wrong_word.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <vector>

namespace assertion::cli {
namespace {

class WrongWordTest : public testing::Test {
 protected:
  WrongWordTest() {
    app_.require_subcommand(1);
    app_.add_option("--server", server_);
    auto* key = app_.add_subcommand("key", "Keys")->require_subcommand(1)->fallthrough();
    auto* generate = key->add_subcommand("generate", "Generate")->fallthrough();
    generate->add_option("--client-id", client_id_);
    generate->add_option_group("Group")->add_option("--sign-from", sign_from_);
    generate->add_flag("--json", json_);
    generate->add_option("-o,--output", output_);
    generate->add_option("file", file_);
    auto* evidence = key->add_subcommand("evidence", "Evidence")->fallthrough();
    evidence->add_option("--client-id", client_id_);
    evidence->add_subcommand("verify", "Verify")->fallthrough()->add_option("files", files_)->type_name("FILE");
    auto* tls = app_.add_subcommand("tls", "TLS")->require_subcommand(1)->fallthrough();
    tls->add_subcommand("generate", "Generate")->fallthrough();
    auto* refresh = tls->add_subcommand("refresh", "Refresh")->fallthrough();
    refresh->add_option("--client-id", client_id_);
    refresh->add_option("command", files_);
  }

  std::string MessageFor(const std::vector<const char*>& words) const { return FindWrongWord(app_, words).message; }

  CLI::App app_;
  std::string server_;
  std::string client_id_;
  std::string sign_from_;
  std::string file_;
  std::vector<std::string> files_;
  std::string output_;
  bool json_ = false;
};

TEST_F(WrongWordTest, AMisspeltCommandIsToldAsTypedWithTheNearestOne) {
  EXPECT_EQ(MessageFor({"key", "genrate"}),
            "unknown command \"genrate\" for \"assertionctl key\"; did you mean \"generate\"?");
  EXPECT_EQ(MessageFor({"kye", "generate"}), "unknown command \"kye\" for \"assertionctl\"; did you mean \"key\"?");
  EXPECT_EQ(MessageFor({"key", "zzzzzzzzzz"}), "unknown command \"zzzzzzzzzz\" for \"assertionctl key\"");
}

TEST_F(WrongWordTest, AVerbWithoutItsNounIsToldWithEachNounThatHasIt) {
  EXPECT_EQ(MessageFor({"generate", "--client-id", "orders"}),
            "unknown command \"generate\" for \"assertionctl\"; did you mean \"assertionctl key generate\" or "
            "\"assertionctl tls generate\"?");
  EXPECT_EQ(MessageFor({"verify"}),
            "unknown command \"verify\" for \"assertionctl\"; did you mean \"assertionctl key evidence verify\"?");
  EXPECT_EQ(MessageFor({"key", "verify"}),
            "unknown command \"verify\" for \"assertionctl key\"; did you mean \"assertionctl key evidence verify\"?");
  EXPECT_EQ(MessageFor({"evidense"}),
            "unknown command \"evidense\" for \"assertionctl\"; did you mean \"assertionctl key evidence\"?");
}

TEST_F(WrongWordTest, AWordThatNoVerbAndNoArgumentTakesIsNamed) {
  EXPECT_EQ(MessageFor({"key", "evidence", "verfy", "x"}),
            "unknown command \"verfy\" for \"assertionctl key evidence\"; did you mean \"verify\"?");
  EXPECT_EQ(MessageFor({"key", "generate", "file", "more"}),
            "unexpected argument \"more\" for \"assertionctl key generate\"");
  EXPECT_EQ(MessageFor({"tls", "generate", "x"}), "unexpected argument \"x\" for \"assertionctl tls generate\"");
  EXPECT_EQ(MessageFor({"key", "evidence", "verify", "a", "b", "c"}), "");
}

TEST_F(WrongWordTest, AShortOptionIsAnOption) {
  EXPECT_EQ(MessageFor({"-x"}), "unknown option \"-x\" for \"assertionctl\"");
  EXPECT_EQ(MessageFor({"key", "generate", "-xy"}), "unknown option \"-x\" for \"assertionctl key generate\"");
  EXPECT_EQ(MessageFor({"key", "generate", "-o", "json", "file"}), "");
  EXPECT_EQ(MessageFor({"key", "generate", "-ojson", "-"}), "");
}

TEST_F(WrongWordTest, AMisspeltOptionIsToldAsTypedWithTheNearestOne) {
  EXPECT_EQ(MessageFor({"key", "generate", "--clint-id", "orders"}),
            "unknown option \"--clint-id\" for \"assertionctl key generate\"; did you mean \"--client-id\"?");
  EXPECT_EQ(MessageFor({"key", "generate", "--sing-from=now"}),
            "unknown option \"--sing-from\" for \"assertionctl key generate\"; did you mean \"--sign-from\"?");
  EXPECT_EQ(MessageFor({"key", "generate", "--sever=unix:/s"}),
            "unknown option \"--sever\" for \"assertionctl key generate\"; did you mean \"--server\"?");
}

TEST_F(WrongWordTest, ValuesAndPositionalArgumentsAreNoCommands) {
  EXPECT_EQ(MessageFor({"--server", "unix:/s", "key", "generate", "--client-id", "--odd", "--json", "file"}), "");
  EXPECT_EQ(MessageFor({"key", "generate", "--", "--clint-id"}), "");
}

TEST_F(WrongWordTest, AnOptionOfACommandToRunNeedsDashesBefore) {
  EXPECT_EQ(MessageFor({"tls", "refresh", "--client-id", "o", "sh", "-c", "true"}),
            "unknown option \"-c\" for \"assertionctl tls refresh\"; write -- before the command to run: -- sh");
  EXPECT_EQ(MessageFor({"tls", "refresh", "-c"}), "unknown option \"-c\" for \"assertionctl tls refresh\"");
  EXPECT_EQ(MessageFor({"tls", "refresh", "--", "sh", "-c", "true"}), "");
}

TEST_F(WrongWordTest, AnOptionWithAnEmptyValueIsNamed) {
  const auto message = [](const std::vector<const char*>& words) { return WithoutValue(words); };
  EXPECT_EQ(message({"key", "generate", "--kid=", "--sign-from", "now"}),
            "--kid= has no value: a variable may be empty");
  EXPECT_EQ(message({"key", "generate", "--param=a=", "-x=", "--", "--kid="}), "");
  EXPECT_EQ(message({"key", "show", "--kid", "", "--json"}), "an empty word follows --kid: a variable may be empty");
  EXPECT_EQ(message({"key", "show", "--kid=a", "", "--kid", "b", "", "--", "--kid", ""}), "");
}

TEST_F(WrongWordTest, HelpOfAnUnknownCommandIsThatOfNone) {
  const auto message = [&](const std::vector<const char*>& words) { return WrongWordOfHelp(app_, words).message; };
  EXPECT_EQ(message({"key", "genrate", "--help"}),
            "unknown command \"genrate\" for \"assertionctl key\"; did you mean \"generate\"?");
  EXPECT_EQ(message({"-h", "kye"}), "unknown command \"kye\" for \"assertionctl\"; did you mean \"key\"?");
  EXPECT_EQ(message({"key", "--help"}), "");
  EXPECT_EQ(message({"key", "generate", "--help", "x", "y"}), "");
  EXPECT_EQ(message({"key", "genrate", "--", "--help"}), "") << "the line is refused without help too";
}

TEST_F(WrongWordTest, AMissingArgumentIsNamedAsInHelp) {
  app_.get_subcommand("key")->get_subcommand("evidence")->get_subcommand("verify")->get_option("files")->required();
  try {
    app_.parse("key evidence verify");
    FAIL();
  } catch (const CLI::ParseError& error) {
    EXPECT_EQ(RequiredText(app_, error.what()), "FILE is required");
  }
  EXPECT_EQ(RequiredText(app_, "--client-id is required"), "--client-id is required");
}

TEST_F(WrongWordTest, ANounWithoutAVerbIsNamed) {
  const auto wrong = FindWrongWord(app_, std::vector<const char*>{"key"});
  EXPECT_EQ(wrong.message, "\"assertionctl key\" needs a command");
  EXPECT_EQ(wrong.help, "assertionctl key --help lists them");
  EXPECT_EQ(FindWrongWord(app_, std::vector<const char*>{"key", "generate"}).help, "assertionctl key generate --help");
}

}  // namespace
}  // namespace assertion::cli
