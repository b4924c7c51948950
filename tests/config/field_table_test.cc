#include "config/field_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "config/config.h"

namespace assertion {
namespace {

// The value of a default that is a literal: `5s`, `true`, 100. Empty for a default in words.
std::string Literal(const FieldRow& row) {
  auto text = std::string(row.fallback);
  if (row.type == FieldType::kCount) {
    return text.find_first_not_of("0123456789") == std::string::npos ? text : "";
  }
  if (text.size() < 3 || !text.starts_with('`') || text.find('`', 1) != text.size() - 1) {
    return "";
  }
  text = text.substr(1, text.size() - 2);
  const bool is_text = row.type == FieldType::kText || row.type == FieldType::kDuration;
  return is_text ? '"' + text + '"' : text;
}

// A file with one member more, at the top, in the section or in its client.
std::string FileWith(std::string_view section, const std::string& member) {
  const auto top = section.empty() ? ", " + member : "";
  const auto in_section =
      section.empty() || section == "clients[]" ? "" : ", \"" + std::string(section) + "\": {" + member + "}";
  const auto in_client = section == "clients[]" ? ", " + member : "";
  return R"({"hsm": "pkcs11:token=t?module-path=/m.so&pin-source=file:/pin", "listen": "unix:/s")" + top + in_section +
         R"(, "clients": [{"client_id": "orders", "callers": ["uid:1000"], "audiences": ["https://is.example.com"])" +
         in_client + "}]}";
}

TEST(FieldTable, HasEachFieldOnceWithAMeaningAndARange) {
  std::set<std::string_view> seen;
  for (const auto& row : FieldTable()) {
    EXPECT_TRUE(seen.insert(row.path).second) << row.path;
    EXPECT_TRUE(row.meaning.ends_with('.')) << row.path;
    EXPECT_FALSE(row.fallback.empty()) << row.path;
    const bool has_range = row.type == FieldType::kCount || row.type == FieldType::kDuration;
    EXPECT_EQ(row.least < row.most, has_range) << row.path;
  }
}

TEST(FieldTable, WhatItSaysOfDefaultsIsWhatAnAbsentFieldMeans) {
  const std::set<std::string_view> sections = {"", "audit", "refusals", "connections", "key_limits", "clients[]"};
  int compared = 0;
  for (const auto& row : FieldTable()) {
    const auto dot = row.path.rfind('.');
    const auto section = dot == std::string_view::npos ? "" : row.path.substr(0, dot);
    const auto literal = Literal(row);
    const auto name = std::string(row.path.substr(dot == std::string_view::npos ? 0 : dot + 1));
    const bool needs_another = name == "publish_lead" || name == "jti_length";
    if (literal.empty() || !sections.contains(section) || needs_another) {
      continue;
    }
    const auto absent = ParseConfig(FileWith("", R"("lock_directory": "/state/lock")"), "/state");
    const auto given = ParseConfig(FileWith(section, '"' + name + "\": " + literal), "/state");
    ASSERT_TRUE(absent) << absent.error().front();
    ASSERT_TRUE(given) << row.path << ": " << given.error().front();
    EXPECT_TRUE(FieldsThatNeedARestart(*absent, *given).empty()) << row.path;
    EXPECT_TRUE(absent->key_limits == given->key_limits) << row.path;
    const auto& before = absent->clients.front();
    const auto& after = given->clients.front();
    EXPECT_EQ(before.binding, after.binding) << row.path;
    EXPECT_EQ(before.clock_skew, after.clock_skew) << row.path;
    EXPECT_EQ(before.imported_keys, after.imported_keys) << row.path;
    EXPECT_TRUE(before.profile == after.profile) << row.path;
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

}  // namespace
}  // namespace assertion
