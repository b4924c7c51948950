#include "observe/visitors.h"

#include <algorithm>

namespace assertion {
namespace {

constexpr int kKept = 3;       // the rank of a listed visitor that is being answered
constexpr int kStrangers = 2;  // visitors of sources in no list have lower ranks

}  // namespace

Visitors::Added Visitors::Add(const std::string& source, bool listed) {
  std::optional<Number> replaced;
  const bool too_many = CountOf(source) >= limits_.per_source;
  if (too_many || visitors_.size() >= limits_.total) {
    replaced = too_many ? ReplaceableOf(source) : ReplaceableFor(source, listed);
    if (!replaced) {
      return {.number = std::nullopt, .replaced = std::nullopt};
    }
    Remove(*replaced);
  }
  visitors_.emplace(++last_, Visitor{.source = source, .listed = listed});
  ++sources_[source];
  return {.number = last_, .replaced = replaced};
}

void Visitors::SetAnswering(Number number, bool answering) {
  if (const auto found = visitors_.find(number); found != visitors_.end()) {
    found->second.answering = answering;
  }
}

void Visitors::Remove(Number number) {
  const auto found = visitors_.find(number);
  if (found == visitors_.end()) {
    return;
  }
  if (const auto source = sources_.find(found->second.source); --source->second == 0) {
    sources_.erase(source);
  }
  visitors_.erase(found);
}

std::size_t Visitors::CountOf(const std::string& source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? 0 : found->second;
}

std::optional<Visitors::Number> Visitors::ReplaceableOf(const std::string& source) const {
  std::optional<Number> chosen;
  int lowest = kKept;
  for (const auto& [number, visitor] : visitors_) {
    if (visitor.source == source && visitor.rank() < lowest) {
      chosen = number;
      lowest = visitor.rank();
    }
  }
  return chosen;
}

std::optional<Visitors::Number> Visitors::ReplaceableFor(const std::string& newcomer, bool listed) const {
  const int bound = listed ? kKept : kStrangers;
  int lowest = bound;
  for (const auto& [number, visitor] : visitors_) {
    lowest = std::min(lowest, visitor.rank());
  }
  if (lowest == bound && !listed) {
    return std::nullopt;
  }
  std::optional<Number> chosen;
  std::size_t most = 0;
  for (const auto& [number, visitor] : visitors_) {
    if (const auto count = CountOf(visitor.source); visitor.rank() == lowest && count > most) {
      chosen = number;
      most = count;
    }
  }
  if (lowest == kKept) {  // all are callers that wait: only a source with more than the newcomer will have gives way
    return most > CountOf(newcomer) + 1 ? chosen : std::nullopt;
  }
  // A listed newcomer takes a stranger's place, however many it has itself.
  const bool fair = most > CountOf(newcomer) || (listed && lowest < kStrangers);
  return fair ? chosen : ReplaceableOf(newcomer);
}

}  // namespace assertion
