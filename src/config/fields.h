#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/document.h"
#include "config/field_table.h"

namespace assertion {

// Collects errors as "LINE: path: reason": the first hundred, and how many more there are. Text of the file is cut and
// escaped in them.
class Errors {
 public:
  void Add(int line, const std::string& path, const std::string& reason);
  bool empty() const { return list_.empty(); }
  std::vector<std::string> Take();

 private:
  std::vector<std::string> list_;
  std::size_t more_ = 0;
};

// The members of one JSON object, taken by name and type. The rows of FieldTable() are the known fields.
class Fields {
 public:
  static constexpr std::size_t kMostStrings = 100;

  Fields(const Node& node, std::string path, Errors& errors);

  // The member's node; null when absent. A missing required member is an error, and so is a name without a row in
  // field_rows.cc: what the reference does not print, the file cannot hold.
  const Node* Take(std::string_view name, bool required);

  template <typename T>
  const T* Take(std::string_view name, bool required, const char* type_name) {
    const auto* node = Take(name, required);
    const auto* value = node == nullptr ? nullptr : std::get_if<T>(&node->value);
    if (node != nullptr && value == nullptr) {
      errors_.Add(node->line, PathOf(name), std::string("must be ") + type_name);
    }
    return value;
  }

  // An entry of a list of strings.
  struct Entry {
    std::string text;
    std::string path;
    int line;
  };

  // Null when absent or wrong.
  const std::string* TakeString(std::string_view name, bool required) {
    return Take<std::string>(name, required, "a string");
  }

  // `otherwise` when absent or wrong.
  bool TakeBool(std::string_view name, bool otherwise);

  // An absolute path. Empty when absent; the text itself when wrong.
  std::string TakePath(std::string_view name, bool required);

  // An integer in the range of its row; nothing when absent or wrong.
  std::optional<std::int64_t> TakeCount(std::string_view name, bool required = false);

  // The members of an object; nothing when absent.
  std::optional<Fields> TakeObject(std::string_view name);

  // A list of at most `most` different strings; empty when absent or wrong.
  std::vector<Entry> TakeEntries(std::string_view name, bool required, std::size_t most = kMostStrings);
  std::vector<std::string> TakeStrings(std::string_view name, bool required, std::size_t most = kMostStrings);

  // A duration in the range of its row; nothing when absent or wrong.
  std::optional<std::chrono::seconds> TakeDuration(std::string_view name);

  // Adds an error for the member.
  void Refuse(std::string_view name, const std::string& reason);

  // Adds an error for each member that nothing took, with the known name that is nearest to it.
  void RefuseTheRest();

  Errors& errors() { return errors_; }

  // The line of the member, or that of the object when the member is absent.
  int LineOf(std::string_view name) const;
  std::string PathOf(std::string_view name) const;

 private:
  struct Member {
    std::string name;
    const Node* node;
    bool taken;
  };

  int line_;
  std::string path_;
  Errors& errors_;
  const FieldRows& rows_;
  std::vector<Member> members_;
  bool is_object_ = true;
};

}  // namespace assertion
