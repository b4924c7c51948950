#include "config/text.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "assertion/foreign_text.h"

namespace assertion {
namespace {

TEST(Text, FindsWhatCannotBeSeen) {
  for (const auto& [text, found] :
       {std::pair{"a ", "\\x20 at octet 2"}, std::pair{" a", "\\x20 at octet 1"}, std::pair{"a b", "\\x20 at octet 2"},
        std::pair{"a\n", "\\x0a at octet 2"}, std::pair{"a\tb", "\\x09 at octet 2"},
        std::pair{"a\x7f", "\\x7f at octet 2"}, std::pair{"a\xc2\x85", "\\xc2\\x85 at octet 2"},
        std::pair{"a\xc2\xa0", "\\xc2\\xa0 at octet 2"},
        std::pair{"\xc3\xa9\xe2\x80\x8b", "\\xe2\\x80\\x8b at octet 3"},
        std::pair{"\xef\xbb\xbf"
                  "a",
                  "\\xef\\xbb\\xbf at octet 1"},
        std::pair{"a\xe2\x80\xae", "\\xe2\\x80\\xae at octet 2"},
        std::pair{"a\xe3\x80\x80", "\\xe3\\x80\\x80 at octet 2"}, std::pair{"a\xc3", "\\xc3 at octet 2"},
        std::pair{"\xed\xa0\x80", "\\xed at octet 1"}, std::pair{"a\xffz", "\\xff at octet 2"},
        std::pair{"a\xf3\xa0\x81\xa1", "\\xf3\\xa0\\x81\\xa1 at octet 2"}}) {
    EXPECT_EQ(FindInvisible(text), found);
  }
  for (const char* text : {"", "https://is.example.com/oauth2/token?a=b#c~",
                           "gr\xc3\xb6\xc3\x9f"
                           "e",
                           "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x94\x91"}) {
    EXPECT_EQ(FindInvisible(text), std::nullopt) << text;
  }
}

TEST(Text, IsShownCutAndEscaped) {
  EXPECT_EQ(Shown("a b\n\x1b[2J\xc3\xa9", 100), "a b\\x0a\\x1b[2J\\xc3\\xa9");
  EXPECT_EQ(Shown("abc", 3), "abc");
  EXPECT_EQ(Shown("abcd", 3), "abc...");
}

TEST(Text, NamesTheNearestWord) {
  constexpr std::array<std::string_view, 3> kWords = {"viewer", "operator", "approver"};
  EXPECT_EQ(DidYouMean("operater", kWords), "; did you mean \"operator\"?");
  EXPECT_EQ(DidYouMean("Viewer", kWords), "; did you mean \"viewer\"?");
  EXPECT_EQ(DidYouMean("aprover", kWords), "; did you mean \"approver\"?");
  constexpr std::array<std::string_view, 1> kIds = {"7f3c2a10-5b6e-4d0a-9c1f-2e8d4b6a9f01"};
  EXPECT_EQ(NearestWord("7f3c2a10-5b6e-4d0a-9c1f-2e8d4b6a9f10", kIds), kIds.front());
  EXPECT_EQ(NearestAlgorithm("es265"), "; did you mean \"ES256\"?");
  EXPECT_EQ(NearestAlgorithm("none"), "");
  EXPECT_EQ(DidYouMean("root", kWords), "");
  EXPECT_EQ(DidYouMean("", kWords), "");
  EXPECT_EQ(DidYouMean(std::string(100'000, 'x'), kWords), "");
}

TEST(NearestProfile, TakesASlipAndABeginning) {
  EXPECT_EQ(NearestProfile("entra"), "; did you mean \"entra-id\"?");
  EXPECT_EQ(NearestProfile("Entra-di"), "; did you mean \"entra-id\"?");
  for (const auto* unlike : {"en", "openid", "nothing-of-the-kind"}) {
    EXPECT_EQ(NearestProfile(unlike), "; for a server without one take \"wso2\": every field may differ from it");
  }
}

}  // namespace
}  // namespace assertion
