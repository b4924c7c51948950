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

// Collects errors as "LINE: path: reason".
class Errors {
 public:
  void Add(int line, const std::string& path, const std::string& reason);
  bool empty() const { return list_.empty(); }
  std::vector<std::string> Take() { return std::move(list_); }

 private:
  std::vector<std::string> list_;
};

// One JSON object's members, taken by name and type. What is left at the end is unknown.
class Fields {
 public:
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

  // A list of strings; empty when absent or wrong.
  std::vector<std::string> TakeStrings(std::string_view name, bool required);

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
  bool is_object_ = true;
};

}  // namespace assertion
