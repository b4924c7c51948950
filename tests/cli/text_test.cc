#include "cli/text.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

TEST(Text, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2J\r\nb"), "a?[2J??b");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "2J\xC2\xA0\xC3\x9B\xC2"),
            "?2J\xC2\xA0\xC3\x9B\xC2");
  EXPECT_EQ(PrintableLines("a\tb\r\nc\x1b\rd\n"), "a\tb\r\nc??d\n");
}

TEST(Text, RelativeTimes) {
  const Time now(std::chrono::seconds(1'000'000'000));
  EXPECT_EQ(Relative(now + std::chrono::seconds(5), now), "in 5 s");
  EXPECT_EQ(Relative(now - std::chrono::minutes(5), now), "5 min ago");
  EXPECT_EQ(Relative(now + std::chrono::days(365), now), "in 365 days");
}

}  // namespace
}  // namespace assertion::cli
