#include "oauth/discovered_endpoints.h"

#include <utility>

namespace assertion::oauth {

DiscoveredEndpoints::DiscoveredEndpoints(std::stop_token given_up)
    : DiscoveredEndpoints(
          [given_up = std::move(given_up)](const std::string& issuer, const std::string& ca_file) {
            return FetchMetadata("tokens.issuer", issuer, ca_file, kLimit, given_up);
          },
          Clock::now) {}

DiscoveredEndpoints::DiscoveredEndpoints(Fetch fetch, std::function<Clock::time_point()> now)
    : fetch_(std::move(fetch)), now_(std::move(now)) {}

Result<Url> DiscoveredEndpoints::Find(const std::string& issuer, const std::string& ca_file) {
  const Source source{.issuer = issuer, .ca_file = ca_file};
  std::promise<Result<Url>> reading;
  std::shared_future<Result<Url>> others;
  {
    const MutexLock lock(mutex_);
    std::erase_if(known_, [now = now_()](const auto& one) { return one.second.until <= now; });
    auto& known = known_[source];
    if (known.endpoint.valid()) {
      others = known.endpoint;
    } else {
      known = {.endpoint = reading.get_future().share(), .until = Clock::time_point::max()};
    }
  }
  if (others.valid()) {
    return others.get();  // outside the lock: it may still be read
  }
  auto endpoint = Read(source);
  {
    const MutexLock lock(mutex_);
    if (endpoint) {
      known_[source].until = now_() + kKept;
    } else {
      known_.erase(source);
    }
  }
  reading.set_value(endpoint);
  return endpoint;
}

void DiscoveredEndpoints::Doubt(const std::string& issuer, const std::string& ca_file) {
  const MutexLock lock(mutex_);
  const auto found = known_.find({.issuer = issuer, .ca_file = ca_file});
  if (found != known_.end() && found->second.until != Clock::time_point::max()) {  // else it is being read
    known_.erase(found);
  }
}

Result<Url> DiscoveredEndpoints::Read(const Source& source) const {
  ASSIGN_OR_RETURN(const auto metadata, fetch_(source.issuer, source.ca_file));
  return EndpointOf(metadata, "token_endpoint", metadata.token_endpoint);
}

}  // namespace assertion::oauth
