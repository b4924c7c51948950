#include "cli/yaml.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

using nlohmann::ordered_json;

TEST(Yaml, WritesBlocksWithQuotedTexts) {
  const ordered_json document = {
      {"keys", ordered_json::array({{{"kid", "-a"}, {"bits", 2048}, {"tags", {"x", "y"}}}, {{"kid", "b"}}})},
      {"none", ordered_json::array()},
      {"empty", ordered_json::object()},
      {"at", {{"deep", true}, {"null", nullptr}}}};
  EXPECT_EQ(YamlText(document),
            "keys:\n"
            "  - kid: \"-a\"\n"
            "    bits: 2048\n"
            "    tags:\n"
            "      - \"x\"\n"
            "      - \"y\"\n"
            "  - kid: \"b\"\n"
            "none: []\n"
            "empty: {}\n"
            "at:\n"
            "  deep: true\n"
            "  \"null\": null\n");
}

TEST(Yaml, NoTextTurnsIntoAnotherTypeOrALineOfItsOwn) {
  EXPECT_EQ(YamlText({{"no", "yes"}, {"a b", "2026-11-24"}, {"x5t#S256", "line\n\"quoted\"\033[31m"}}),
            "\"no\": \"yes\"\n\"a b\": \"2026-11-24\"\n\"x5t#S256\": \"line\\n\\\"quoted\\\"\\u001b[31m\"\n");
}

TEST(Yaml, ScalarsAndEmptyDocumentsStand) {
  EXPECT_EQ(YamlText(ordered_json::object()), "{}\n");
  EXPECT_EQ(YamlText("x"), "\"x\"\n");
}

TEST(Yaml, OneOfManyDocumentsIsALineOfJsonOrAYamlDocument) {
  EXPECT_EQ(DocumentLine({{"a", 1}}), "{\"a\":1}\n");
  SetDocumentForm(DocumentForm::kYaml);
  EXPECT_EQ(DocumentLine({{"a", 1}}), "---\na: 1\n");
  SetDocumentForm(DocumentForm::kJson);
}

}  // namespace
}  // namespace assertion::cli
