#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace assertion {

enum class FieldType : std::uint8_t {
  kText,
  kPath,
  kBool,
  kCount,
  kDuration,
  kTexts,
  kTextOrTexts,
  kObject,
  kObjects,
  kHsm
};

// One field of the configuration file. Fields takes no field that is not in the table, and the configuration reference
// prints the same rows, so the two cannot disagree.
struct FieldRow {
  std::string_view path;  // "clients[].client_id"
  FieldType type;
  std::string_view fallback;  // the value when the field is absent, or "required"
  std::string_view standard;  // where the value is defined; empty: here
  std::string_view meaning;   // one or more sentences
  std::int64_t least = 0;     // of counts, and of durations in seconds
  std::int64_t most = 0;
};

std::span<const FieldRow> FieldTable();

// The rows of one object's fields, by the field's name.
using FieldRows = std::map<std::string_view, const FieldRow*>;

// The rows of the object at `object_path`, such as "clients[3]"; empty when no such object is known.
const FieldRows& RowsOf(std::string_view object_path);

// The whole table as Markdown: assertiond --config-reference.
std::string ConfigReference();

}  // namespace assertion
