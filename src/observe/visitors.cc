#include "observe/visitors.h"

#include <algorithm>

namespace assertion {

Visitors::Added Visitors::Add(const std::string& source) {
  const auto own = sources_.find(source);
  const std::size_t held = own == sources_.end() ? 0 : own->second;
  std::optional<Number> replaced;
  if (held >= limits_.per_source) {
    replaced = OldestOf(source);
  } else if (visitors_.size() >= limits_.total) {
    std::size_t most = 0;
    for (const auto& [name, count] : sources_) {
      most = std::max(most, count);
    }
    const auto is_greedy = [&](const auto& each) { return sources_.at(each.second) == most; };
    replaced = most > held ? std::ranges::find_if(visitors_, is_greedy)->first : OldestOf(source);
  }
  if (replaced) {
    Remove(*replaced);
  }
  visitors_.emplace(++last_, source);
  ++sources_[source];
  return {.number = last_, .replaced = replaced};
}

void Visitors::Remove(Number number) {
  const auto found = visitors_.find(number);
  if (found == visitors_.end()) {
    return;
  }
  if (const auto source = sources_.find(found->second); --source->second == 0) {
    sources_.erase(source);
  }
  visitors_.erase(found);
}

Visitors::Number Visitors::OldestOf(const std::string& source) const {
  return std::ranges::find(visitors_, source, [](const auto& each) { return each.second; })->first;
}

}  // namespace assertion
