#include "jws/foreign_json.h"

#include "jws/object_text.h"

namespace assertion::jws {
namespace {

// Calls `see` for each character outside strings until it returns false; true: it never did.
template <typename See>
bool AllOutsideStrings(std::string_view json, See see) {
  bool in_string = false;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      at += c == '\\' ? 1 : 0;
    } else if (!see(c)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool IsNestedTooDeeply(std::string_view json) {
  int depth = 0;
  return !AllOutsideStrings(json, [&depth](char c) {
    depth += c == '[' || c == '{' ? 1 : 0;
    depth -= c == ']' || c == '}' ? 1 : 0;
    return depth <= ObjectText::kMaxDepth;
  });
}

bool HasTooManyValues(std::string_view json) {
  constexpr int kMostValues = 20'000;
  int values = 1;
  return !AllOutsideStrings(json, [&values](char c) {
    values += c == ',' || c == '[' || c == '{' ? 1 : 0;  // an empty array or object counts twice
    return values <= kMostValues;
  });
}

}  // namespace assertion::jws
