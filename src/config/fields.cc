#include "config/fields.h"

#include <algorithm>
#include <set>

#include "assertion/foreign_text.h"
#include "config/duration.h"
#include "config/text.h"

namespace assertion {

using std::chrono::seconds;

void Errors::Add(int line, const std::string& path, const std::string& reason) {
  constexpr std::size_t kMost = 100;
  constexpr std::size_t kMostOfPath = 120;
  constexpr std::size_t kMostOfReason = 400;
  if (list_.size() == kMost) {
    ++more_;
    return;
  }
  list_.push_back(std::to_string(line) + ": " + (path.empty() ? "" : Shown(path, kMostOfPath) + ": ") +
                  Shown(reason, kMostOfReason));
}

std::vector<std::string> Errors::Take() {
  if (more_ > 0) {
    list_.push_back("0: and " + std::to_string(more_) + " more");
  }
  return std::move(list_);
}

Fields::Fields(const Node& node, std::string path, Errors& errors)
    : line_(node.line), path_(std::move(path)), errors_(errors), rows_(RowsOf(path_)) {
  const auto* object = std::get_if<Node::Object>(&node.value);
  if (object == nullptr) {
    errors_.Add(line_, path_, "must be an object");
    is_object_ = false;
    return;
  }
  std::set<std::string_view> seen;
  for (const auto& [name, value] : *object) {
    if (!seen.insert(name).second) {
      errors_.Add(value.line, PathOf(name), "is repeated");
    } else {
      members_.push_back({.name = name, .node = &value, .taken = false});
    }
  }
}

const Node* Fields::Take(std::string_view name, bool required) {
  if (!rows_.contains(name)) {
    errors_.Add(line_, PathOf(name), "has no row in the table of fields: this is a bug of assertiond");
    return nullptr;
  }
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

std::vector<Fields::Entry> Fields::TakeEntries(std::string_view name, bool required, std::size_t most) {
  std::vector<Entry> entries;
  const auto* list = Take<Node::Array>(name, required, "a list of strings");
  if (list != nullptr && list->size() > most) {
    Refuse(name, "must not have more than " + std::to_string(most) + " entries");
    return entries;
  }
  std::set<std::string_view> seen;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto* text = std::get_if<std::string>(&(*list)[i].value);
    const auto path = PathOf(name) + '[' + std::to_string(i) + ']';
    if (text == nullptr || text->empty()) {
      errors_.Add((*list)[i].line, path, "must be a string that is not empty");
    } else if (!seen.insert(*text).second) {
      errors_.Add((*list)[i].line, path, "is repeated");
    } else {
      entries.push_back({.text = *text, .path = path, .line = (*list)[i].line});
    }
  }
  return entries;
}

std::vector<std::string> Fields::TakeStrings(std::string_view name, bool required, std::size_t most) {
  std::vector<std::string> strings;
  for (auto& entry : TakeEntries(name, required, most)) {
    strings.push_back(std::move(entry.text));
  }
  return strings;
}

std::optional<seconds> Fields::TakeDuration(std::string_view name) {
  const auto* text = Take<std::string>(name, false, "a duration such as \"300s\" (s, m or h)");
  if (text == nullptr) {
    return std::nullopt;
  }
  const auto* const row = rows_.at(name);
  const auto duration = ParseDuration(*text);
  if (!duration || duration->count() < row->least || duration->count() > row->most) {
    Refuse(name, "must be a duration such as \"300s\" (s, m or h) from " + std::to_string(row->least) + "s to " +
                     std::to_string(row->most) + "s");
    return std::nullopt;
  }
  return duration;
}

bool Fields::TakeBool(std::string_view name, bool otherwise) {
  const auto* value = Take<bool>(name, false, "true or false");
  return value == nullptr ? otherwise : *value;
}

std::string Fields::TakePath(std::string_view name, bool required) {
  const auto* path = TakeString(name, required);
  if (path != nullptr && (!path->starts_with('/') || path->find('\0') != std::string::npos)) {
    Refuse(name, "must be an absolute path");
  }
  return path == nullptr ? "" : *path;
}

std::optional<std::int64_t> Fields::TakeCount(std::string_view name, bool required) {
  const auto* count = Take<std::int64_t>(name, required, "an integer");
  if (count == nullptr) {
    return std::nullopt;
  }
  const auto* const row = rows_.at(name);
  if (*count < row->least || *count > row->most) {
    Refuse(name, "must be from " + std::to_string(row->least) + " to " + std::to_string(row->most));
    return std::nullopt;
  }
  return *count;
}

std::optional<Fields> Fields::TakeObject(std::string_view name) {
  const auto* node = Take(name, false);
  return node == nullptr ? std::nullopt : std::optional<Fields>(std::in_place, *node, PathOf(name), errors_);
}

int Fields::LineOf(std::string_view name) const {
  const auto found = std::ranges::find(members_, name, &Member::name);
  return found == members_.end() ? line_ : found->node->line;
}

void Fields::RefuseTheRest() {
  std::vector<std::string_view> known;
  for (const auto& row : rows_) {
    known.push_back(row.first);
  }
  for (const auto& member : members_) {
    if (!member.taken) {
      errors_.Add(member.node->line, PathOf(member.name), "is not a known field" + DidYouMean(member.name, known));
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
