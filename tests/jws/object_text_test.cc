#include "jws/object_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace assertion::jws {
namespace {

std::string Refusal(std::string_view json) {
  const auto object = ParseObjectText(json);
  return object ? "taken" : object.error().message;
}

std::string Nested(int depth, const char* open, const char* close) {
  std::string text = R"({"a":)";
  for (int i = 1; i < depth; ++i) {
    text += open;
  }
  text += "1";
  for (int i = 1; i < depth; ++i) {
    text += close;
  }
  return text + "}";
}

TEST(ObjectText, KeepsEveryOctetBetweenTheBraces) {
  for (const std::string inside :
       {R"("a":1)", R"("z":9007199254740993,"a":-0,"m":1.0)", R"("a":1e400,"b":1E+2,"c":0.10e-05)",
        R"("a" : [ 1 ,	2 ] , "b":{ "c" : null })", R"("a":"é\/\u0041\ud83d\udd11","b":true,"c":false)",
        "\"a\":\n[\r\n]", R"("":{},"aA":[[],{}])", ""}) {
    for (const auto& text : {"{" + inside + "}", " \t\r\n{ " + inside + "\n}\n"}) {
      const auto object = ParseObjectText(text);
      ASSERT_TRUE(object) << text << ": " << object.error().message;
      EXPECT_EQ(object->inside, inside);
    }
  }
}

TEST(ObjectText, TellsNamesWithoutEscapesAndValuesAsWritten) {
  const auto object =
      ParseObjectText(R"({"\u0061\"\\\/\b\f\n\r\t" : -0.0e1 , "\ud83d\udd11":"\u00e9" ,"\u20AC":[1, 2]})");
  ASSERT_TRUE(object) << object.error().message;
  ASSERT_EQ(object->members.size(), 3U);
  EXPECT_EQ(object->members[0].name, "a\"\\/\b\f\n\r\t");
  EXPECT_EQ(object->members[0].value, "-0.0e1");
  EXPECT_EQ(object->members[1].name, "\xf0\x9f\x94\x91");
  EXPECT_EQ(object->members[1].value, R"("\u00e9")");
  EXPECT_EQ(object->members[2].name, "\xe2\x82\xac");
  EXPECT_EQ(object->members[2].value, "[1, 2]");
}

TEST(ObjectText, RefusesWhatIsNoObjectOfJson) {
  for (const std::string text : {"",
                                 " ",
                                 "1",
                                 "[]",
                                 "null",
                                 "\"a\"",
                                 "{",
                                 "}",
                                 "{}x",
                                 "{},",
                                 "{} {}",
                                 R"({"a"})",
                                 R"({"a":})",
                                 R"({"a":1,})",
                                 R"({,"a":1})",
                                 R"({"a":1 "b":2})",
                                 R"({a:1})",
                                 R"({'a':1})",
                                 R"({"a":1)",
                                 R"({"a":[1,]})",
                                 R"({"a":[,1]})",
                                 R"({"a":[1})",
                                 R"({"a":[1 2]})",
                                 R"({"a":01})",
                                 R"({"a":-01})",
                                 R"({"a":+1})",
                                 R"({"a":.5})",
                                 R"({"a":1.})",
                                 R"({"a":1e})",
                                 R"({"a":1e+})",
                                 R"({"a":-})",
                                 R"({"a":1.e5})",
                                 R"({"a":0x10})",
                                 R"({"a":NaN})",
                                 R"({"a":Infinity})",
                                 R"({"a":-Infinity})",
                                 R"({"a":True})",
                                 R"({"a":nul})",
                                 R"({"a":truefalse})",
                                 R"({"a":1/**/})",
                                 R"({"a":1}//)",
                                 R"({"a":"b)",
                                 R"({"a":"b\)",
                                 R"({"a":"\x"})",
                                 R"({"a":"\u12"})",
                                 R"({"a":"\u12g4"})",
                                 "{\"a\":\"\x01\"}",
                                 "{\"a\":\"\n\"}",
                                 "{\"a\n\":1}",
                                 "\xef\xbb\xbf{}",
                                 "{\"a\":\"\xff\"}",
                                 "{\"\xc3\":1}",
                                 "{\"a\":\"\xed\xa0\x80\"}",
                                 "{\v}",
                                 "{\xc2\xa0}",
                                 "{\"a\":1\f}",
                                 R"({"a":"\U0041"})"}) {
    EXPECT_NE(Refusal(text), "taken") << text;
    EXPECT_FALSE(nlohmann::json::accept(text) && nlohmann::json::parse(text).is_object() && text.front() == '{')
        << text;
  }
  EXPECT_EQ(Refusal(std::string("{\"a\":1}\0", 8)), "octet 8: nothing may follow the object");
  EXPECT_EQ(Refusal(std::string("{\"a\":\0}", 7)), "octet 6: a value of JSON is missing here");
}

TEST(ObjectText, RefusesNamesRepeatedAtAnyDepthHoweverTheyAreWritten) {
  for (const auto* text : {R"({"a":1,"a":1})", R"({"a":1,"\u0061":2})", R"({"a":{"b":1,"c":2,"b":3}})",
                           R"({"a":[{"b":[{"c":1,"c":1}]}]})", R"({"/":1,"\/":2})"}) {
    EXPECT_NE(Refusal(text).find("the object has a member of this name already"), std::string::npos) << text;
  }
  EXPECT_EQ(Refusal(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})"), "taken");
}

TEST(ObjectText, RefusesHalvesOfSurrogatePairs) {
  for (const auto* text : {R"({"a":"\ud800"})", R"({"a":"\udc00"})", R"({"a":"\ud800\ud800"})", R"({"a":"\ud800x"})",
                           R"({"\udfff\ud800":1})", R"({"a":"\ud800\n"})"}) {
    EXPECT_NE(Refusal(text).find("half of a surrogate pair"), std::string::npos) << text;
  }
}

TEST(ObjectText, NestsToItsDepthAndNoFurther) {
  EXPECT_EQ(Refusal(Nested(ObjectText::kMaxDepth, "[", "]")), "taken");
  EXPECT_EQ(Refusal(Nested(ObjectText::kMaxDepth, R"({"a":)", "}")), "taken");
  EXPECT_NE(Refusal(Nested(ObjectText::kMaxDepth + 1, "[", "]")), "taken");
  EXPECT_NE(Refusal(Nested(ObjectText::kMaxDepth + 1, R"({"a":)", "}")), "taken");
  EXPECT_NE(Refusal(Nested(100'000, "[", "]")), "taken");
}

TEST(ObjectText, IsShownWithALineForEachMemberAndEveryValueAsWritten) {
  EXPECT_EQ(
      Indented(R"( {"a":[ 1.0,-0 ,{} ,[ ]] , "b": {"c\"{,:\\":"x, y"},"d":1e400} )"),
      "{\n  \"a\": [\n    1.0,\n    -0,\n    {},\n    []\n  ],\n  \"b\": {\n    \"c\\\"{,:\\\\\": \"x, y\"\n  },\n"
      "  \"d\": 1e400\n}");
  EXPECT_EQ(Indented("{}"), "{}");
}

}  // namespace
}  // namespace assertion::jws
