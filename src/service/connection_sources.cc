#include "service/connection_sources.h"

#include <algorithm>

namespace assertion::service {

std::size_t ConnectionSources::CountOf(const std::string& source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? 0 : found->second.count;
}

void ConnectionSources::Try(const std::string& source) {
  if (const auto found = sources_.find(source); found != sources_.end()) {
    ++found->second.tried;
  }
}

void ConnectionSources::Add(const std::string& source, bool listed) {
  auto& entry = sources_[source];
  ++entry.count;
  entry.tried = std::max(entry.tried, entry.count);
  entry.listed = listed;
  ++total_;
}

void ConnectionSources::Remove(const std::string& source) {
  if (const auto found = sources_.find(source); --found->second.count == 0) {
    sources_.erase(found);
  }
  --total_;
}

std::optional<ConnectionSources::Greed> ConnectionSources::GreedierThan(const std::string& newcomer,
                                                                        bool listed) const {
  const Greed own(!listed, CountOf(newcomer) + 1);
  auto greediest = own;
  for (const auto& [name, source] : sources_) {
    greediest = std::max(greediest, source.greed());
  }
  return greediest == own ? std::nullopt : std::optional(greediest);
}

std::size_t ConnectionSources::TriesOf(const std::string& source, const Greed& greed) const {
  const auto& entry = sources_.at(source);
  return entry.greed() == greed ? entry.tried : 0;
}

}  // namespace assertion::service
