#include "cli/text.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

TEST(Text, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2J\r\nb"), "a?[2J??b");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "2J\xC2\xA0\xC3\x9B\xC2"),
            "?2J\xC2\xA0\xC3\x9B?");
  EXPECT_EQ(PrintableLines("a\tb\r\nc\x1b\rd\n"), "a\tb\r\nc??d\n");
}

TEST(Text, WhatReordersOrHidesTextDoesNotReachTheTerminal) {
  for (const auto* hidden :
       {"\u061C", "\u180E", "\u200B", "\u200E", "\u200F", "\u2028", "\u202A", "\u202E", "\u2066", "\u2069", "\uFEFF"}) {
    EXPECT_EQ(Printable(std::string("a") + hidden + "b"), "a?b");
    EXPECT_EQ(PrintableLines(std::string("a\n") + hidden + "b"), "a\n?b");
  }
  EXPECT_EQ(Printable("h\u00F6 \u2026 \u20AC \U0001F511 \u05D0"), "h\u00F6 \u2026 \u20AC \U0001F511 \u05D0");
  EXPECT_EQ(Printable("\xE2\x80"), "??") << "not a whole character";
  EXPECT_EQ(Printable("a\xC0\x9B"
                      "b\x9B"),
            "a??b?")
      << "an overlong escape, and a bare C1 octet";
}

TEST(Text, JsonKeepsItsMeaning) {
  EXPECT_EQ(PrintableJson("\"\U000E0041\xFF\""), "\"\\udb40\\udc41\\ufffd\"");
  EXPECT_EQ(PrintableJson("{\n \"a\": \"b\u202E\x7F\"\n}\n"), "{\n \"a\": \"b\\u202e\\u007f\"\n}\n");
}

TEST(Text, RelativeTimes) {
  const Time now(std::chrono::seconds(1'000'000'000));
  EXPECT_EQ(Relative(now + std::chrono::seconds(5), now), "in 5 s");
  EXPECT_EQ(Relative(now - std::chrono::minutes(5), now), "5 min ago");
  EXPECT_EQ(Relative(now + std::chrono::days(365), now), "in 365 days");
  EXPECT_EQ(Relative(now + std::chrono::days(365) - std::chrono::seconds(1), now), "in 365 days");
  EXPECT_EQ(Relative(now - std::chrono::days(3), now), "3 days ago");
}

}  // namespace
}  // namespace assertion::cli
