#include "jws/foreign_json.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion::jws {
namespace {

std::string Nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(ForeignJson, IsReadDownToThirtyTwoLevels) {
  EXPECT_TRUE(ParseForeign(Nested(32)).is_array());
  EXPECT_TRUE(ParseForeign(Nested(33)).is_discarded());
  EXPECT_TRUE(ParseForeign(std::string(400'000, '[')).is_discarded());
  EXPECT_TRUE(ParseForeign<nlohmann::ordered_json>(Nested(33)).is_discarded());
}

TEST(ForeignJson, BracketsInStringsAreNoLevels) {
  const auto text = R"({"a":")" + std::string(100, '[') + R"(\"[\\","b":[1]})";
  EXPECT_TRUE(ParseForeign(text).is_object());
  EXPECT_TRUE(ParseForeign(R"({"a\"[":")" + std::string(100, '{') + R"("})").is_object());
}

TEST(ForeignJson, AStringThatEndsHidesNoLevel) {
  EXPECT_TRUE(ParseForeign(R"({"a":"\\","b":)" + Nested(32) + "}").is_discarded());
  EXPECT_TRUE(ParseForeign(R"({"a":"\\","b":)" + Nested(31) + "}").is_object());
}

TEST(ForeignJson, ValuesTakeMoreMemoryThanTheirTextSoTheyAreCounted) {
  const auto list = [](int values) {
    std::string text = "[0";
    for (int i = 1; i < values; ++i) {
      text += ",0";
    }
    return text + "]";
  };
  EXPECT_TRUE(ParseForeign(list(19'999)).is_array());
  EXPECT_TRUE(ParseForeign(list(20'000)).is_discarded());
  EXPECT_TRUE(ParseForeign("[\"" + std::string(100'000, ',') + "\"]").is_array());
}

TEST(ForeignJson, ManyNeighboursAreNoLevels) {
  std::string text = "[";
  for (int i = 0; i < 100; ++i) {
    text += "[],{},";
  }
  EXPECT_TRUE(ParseForeign(text + "1]").is_array());
}

// nlohmann's parser takes a NUL for the end, so that its reader and another may read two texts.
TEST(ForeignJson, HasNoNul) {
  using std::string_view_literals::operator""sv;
  for (const auto text : {"{}\0"sv, "{}\0{\"a\":1}"sv, "{}\n\0"sv, "\0{}"sv, "{\"a\":\0 1}"sv, "{\"a\":\"\0\"}"sv}) {
    EXPECT_TRUE(ParseForeign(text).is_discarded()) << text;
  }
  EXPECT_TRUE(ParseForeign(R"({"a":"\u0000"})").is_object());
}

}  // namespace
}  // namespace assertion::jws
