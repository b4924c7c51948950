#include "cli/command_line.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace assertion::cli {
namespace {

TEST(CommandLine, IsRepeatedForAShellToPaste) {
  const std::array words = {"/usr/bin/assertionctl", "key", "revoke", "--client-id", "my 'orders'; rm", "--kid=-a_b"};
  KeepCommandLine(words);
  EXPECT_EQ(CommandLineWith("--force x"),
            "assertionctl key revoke --client-id 'my '\\''orders'\\''; rm' --kid=-a_b --force x");
}

TEST(CommandLine, LeavesOutWhatIsReplaced) {
  const std::array words = {"assertionctl", "key", "--force", "a", "--force=b", "--kid", "c"};
  KeepCommandLine(words);
  EXPECT_EQ(CommandLineWith("--force d", "--force"), "assertionctl key --kid c --force d");
}

TEST(CommandLine, HasTheWordsOfTheCommandToRunAsTheyCame) {
  const std::array words = {"assertionctl", "refresh", "--", "sh", "[a,b]", "[]", "", "--", "-x"};
  KeepCommandLine(words);
  EXPECT_EQ(WordsBehindDashes(), (std::vector<std::string>{"sh", "[a,b]", "[]", "", "--", "-x"}));
  KeepCommandLine(std::array{"assertionctl", "refresh", "sh"});
  EXPECT_EQ(WordsBehindDashes(), std::vector<std::string>());
}

}  // namespace
}  // namespace assertion::cli
