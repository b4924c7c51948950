#include "cli/table.h"

#include <gtest/gtest.h>

#include "cli/terminal.h"

namespace assertion::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCellInCharacters) {
  EXPECT_EQ(TableText({{"a", "b", "c"}, {"ä€x", "", "d"}, {"only"}}, false, 1), " a     b  c\n ä€x      d\n only\n");
}

TEST(Table, ShadesAreColoursWithoutEffectOnWidths) {
  EXPECT_EQ(TableText({{{"up", Shade::kGood}, "x"}, {{"down", Shade::kBad}, "y"}}, true),
            "\033[32mup\033[0m    x\n\033[31mdown\033[0m  y\n");
  EXPECT_EQ(TableText({{{"up", Shade::kGood}}}, false), "up\n");
}

TEST(Table, TextsOfOthersDoNotSteerTheTerminal) {
  EXPECT_EQ(TableText({{"\033[31mred\nline", {"\033[0m", Shade::kWaiting}}}, true),
            "?[31mred?line  \033[33m?[0m\033[0m\n");
}

TEST(Terminal, ColourIsForTerminalsThatCanShowItAndUsersWhoDidNotRefuseIt) {
  EXPECT_TRUE(WantsColour(true, nullptr, "xterm"));
  EXPECT_TRUE(WantsColour(true, "", "xterm"));
  EXPECT_FALSE(WantsColour(true, "0", "xterm"));
  EXPECT_FALSE(WantsColour(true, nullptr, "dumb"));
  EXPECT_FALSE(WantsColour(true, nullptr, nullptr));
  EXPECT_FALSE(WantsColour(false, nullptr, "xterm"));
}

}  // namespace
}  // namespace assertion::cli
