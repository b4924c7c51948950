#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/document.h"

namespace assertion {

// Collects errors as "LINE: path: reason": the first hundred, and how many more there are. What a file says is shown in
// them cut and escaped.
class Errors {
 public:
  void Add(int line, const std::string& path, const std::string& reason);
  bool empty() const { return list_.empty(); }
  std::vector<std::string> Take();

 private:
  std::vector<std::string> list_;
  std::size_t more_ = 0;
};

// One JSON object's members, taken by name and type. What is left at the end is unknown.
class Fields {
 public:
  static constexpr std::size_t kMostStrings = 100;

  Fields(const Node& node, std::string path, Errors& errors);

  // The member's node; null when absent. A missing required member is an error.
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

  // A list of at most `most` different strings; empty when absent or wrong.
  std::vector<Entry> TakeEntries(std::string_view name, bool required, std::size_t most = kMostStrings);
  std::vector<std::string> TakeStrings(std::string_view name, bool required, std::size_t most = kMostStrings);

  // Nothing when absent or wrong.
  std::optional<std::chrono::seconds> TakeDuration(std::string_view name, std::chrono::seconds least,
                                                   std::chrono::seconds most);

  void Refuse(std::string_view name, const std::string& reason);
  void RefuseTheRest();

  // Of the member, or of the object when it is absent.
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
  std::vector<Member> members_;
  std::vector<std::string> asked_;  // names that a member may have
  bool is_object_ = true;
};

}  // namespace assertion
