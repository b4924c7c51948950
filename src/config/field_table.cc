#include "config/field_table.h"

#include <functional>
#include <map>
#include <string>

namespace assertion {
namespace {

// "hsm" may be one object or a list of them; entries of a list share their rows.
std::string Section(std::string_view object_path) {
  std::string section;
  bool is_index = false;
  for (const char c : object_path) {
    if (!is_index || c == ']') {
      section += c;
    }
    is_index = c == '[' || (is_index && c != ']');
  }
  return section == "hsm[]" ? "hsm" : section;
}

const char* TypeName(FieldType type) {
  switch (type) {
    case FieldType::kText:
      return "string";
    case FieldType::kPath:
      return "absolute path";
    case FieldType::kBool:
      return "boolean";
    case FieldType::kCount:
      return "integer";
    case FieldType::kDuration:
      return "duration";
    case FieldType::kTexts:
      return "list of strings";
    case FieldType::kTextOrTexts:
      return "string or list of strings";
    case FieldType::kObject:
      return "object";
    case FieldType::kObjects:
      return "list of objects";
    case FieldType::kHsm:
      return "string, object, or list of both";
  }
  return "";
}

std::string RangeText(const FieldRow& row) {
  if (row.type != FieldType::kCount && row.type != FieldType::kDuration) {
    return "";
  }
  const char* unit = row.type == FieldType::kDuration ? "s" : "";
  return std::to_string(row.least) + unit + " to " + std::to_string(row.most) + unit;
}

std::string RowText(const FieldRow& row) {
  const auto range = RangeText(row);
  std::string text = "| `" + std::string(row.path) + "` | " + TypeName(row.type) + (range.empty() ? "" : ", " + range);
  text += " | " + std::string(row.fallback) + " | " + std::string(row.meaning);
  return text + (row.standard.empty() ? "" : " (" + std::string(row.standard) + ")") + " |\n";
}

constexpr std::string_view kPreface = R"(# Configuration reference

<!-- Printed by: assertiond --config-reference. Do not edit: change src/config/field_rows.cc. -->

`assertiond --config FILE` serves. `assertiond --check-config FILE` prints every error with its line and field, and the
nearest valid word. The file is one JSON object in a regular file of at most 8 MiB. Unknown, repeated and ill-typed fields
are errors. A duration is digits and `s`, `m` or `h`, such as `300s`.

The check of a correct file exits with 0 and prints `FILE: correct, with N clients`. It warns of what a start or a caller may fail
of: a value `CHANGE-ME`, a client without `callers`, no `operators`, a module or PIN file that the machine of the check has not.

`SIGHUP` reloads `clients`, `operators`, `two_person_rule`, `caller_rate` and `key_limits`. Other changes need a restart.

| field | type and range | default | meaning |
| --- | --- | --- | --- |
)";

}  // namespace

const FieldRows& RowsOf(std::string_view object_path) {
  static const auto kSections = [] {
    std::map<std::string, FieldRows, std::less<>> sections;
    for (const auto& row : FieldTable()) {
      const auto dot = row.path.rfind('.');
      const bool is_top = dot == std::string_view::npos;
      const auto name = is_top ? row.path : row.path.substr(dot + 1);
      sections[std::string(is_top ? "" : row.path.substr(0, dot))].emplace(name, &row);
    }
    return sections;
  }();
  static const FieldRows kNone;
  const auto found = kSections.find(Section(object_path));
  return found == kSections.end() ? kNone : found->second;
}

std::string ConfigReference() {
  std::string text(kPreface);
  for (const auto& row : FieldTable()) {
    text += RowText(row);
  }
  return text;
}

}  // namespace assertion
