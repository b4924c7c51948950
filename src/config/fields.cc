#include "config/fields.h"

#include <algorithm>

#include "config/duration.h"

namespace assertion {

using std::chrono::seconds;

void Errors::Add(int line, const std::string& path, const std::string& reason) {
  list_.push_back(std::to_string(line) + ": " + (path.empty() ? "" : path + ": ") + reason);
}

Fields::Fields(const Node& node, std::string path, Errors& errors)
    : line_(node.line), path_(std::move(path)), errors_(errors) {
  const auto* object = std::get_if<Node::Object>(&node.value);
  if (object == nullptr) {
    errors_.Add(line_, path_, "must be an object");
    is_object_ = false;
    return;
  }
  for (const auto& [name, value] : *object) {
    if (std::ranges::find(members_, name, &Member::name) != members_.end()) {
      errors_.Add(value.line, PathOf(name), "is repeated");
    } else {
      members_.push_back({.name = name, .node = &value, .taken = false});
    }
  }
}

const Node* Fields::Take(std::string_view name, bool required) {
  const auto found = std::ranges::find(members_, name, &Member::name);
  if (found == members_.end()) {
    if (required && is_object_) {
      errors_.Add(line_, PathOf(name), "is missing");
    }
    return nullptr;
  }
  found->taken = true;
  return found->node;
}

std::vector<std::string> Fields::TakeStrings(std::string_view name, bool required) {
  std::vector<std::string> strings;
  const auto* list = Take<Node::Array>(name, required, "a list of strings");
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto* text = std::get_if<std::string>(&(*list)[i].value);
    const auto path = PathOf(name) + '[' + std::to_string(i) + ']';
    if (text == nullptr || text->empty()) {
      errors_.Add((*list)[i].line, path, "must be a string that is not empty");
    } else if (std::ranges::find(strings, *text) != strings.end()) {
      errors_.Add((*list)[i].line, path, "is repeated");
    } else {
      strings.push_back(*text);
    }
  }
  return strings;
}

std::optional<seconds> Fields::TakeDuration(std::string_view name, seconds least, seconds most) {
  const auto* text = Take<std::string>(name, false, "a duration such as \"300s\" (s, m or h)");
  if (text == nullptr) {
    return std::nullopt;
  }
  const auto duration = ParseDuration(*text);
  if (!duration || *duration < least || *duration > most) {
    Refuse(name, "must be a duration such as \"300s\" (s, m or h) from " + std::to_string(least.count()) + "s to " +
                     std::to_string(most.count()) + "s");
    return std::nullopt;
  }
  return duration;
}

int Fields::LineOf(std::string_view name) const {
  const auto found = std::ranges::find(members_, name, &Member::name);
  return found == members_.end() ? line_ : found->node->line;
}

void Fields::RefuseTheRest() {
  for (const auto& member : members_) {
    if (!member.taken) {
      errors_.Add(member.node->line, PathOf(member.name), "is not a known field");
    }
  }
}

void Fields::Refuse(std::string_view name, const std::string& reason) {
  errors_.Add(LineOf(name), PathOf(name), reason);
}

std::string Fields::PathOf(std::string_view name) const {
  return (path_.empty() ? "" : path_ + ".") + std::string(name);
}

}  // namespace assertion
