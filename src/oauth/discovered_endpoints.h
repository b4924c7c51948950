#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <stop_token>
#include <string>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "oauth/http.h"
#include "oauth/metadata.h"

namespace assertion::oauth {

// The token endpoints that issuers publish (RFC 8414), read when somebody needs them. All methods may be called from
// any thread.
class DiscoveredEndpoints {
 public:
  using Clock = std::chrono::steady_clock;
  using Fetch = std::function<Result<ServerMetadata>(const std::string& issuer, const std::string& ca_file)>;
  static constexpr std::chrono::hours kKept{1};      // then the metadata are read again
  static constexpr std::chrono::seconds kLimit{10};  // for one reading

  // Of the issuers themselves. Readings end when `given_up` is.
  explicit DiscoveredEndpoints(std::stop_token given_up);

  // For tests.
  DiscoveredEndpoints(Fetch fetch, std::function<Clock::time_point()> now);

  // The token endpoint of `issuer`. Threads that want the same at the same time wait for one reading. A failure is not
  // kept. Errors: of FetchMetadata and EndpointOf.
  Result<Url> Find(const std::string& issuer, const std::string& ca_file);

  // The endpoint does not answer as one: the next Find reads the metadata again.
  void Doubt(const std::string& issuer, const std::string& ca_file);

 private:
  struct Source {
    std::string issuer;
    std::string ca_file;

    friend auto operator<=>(const Source&, const Source&) = default;
  };
  struct Known {
    std::shared_future<Result<Url>> endpoint;
    Clock::time_point until;
  };

  Result<Url> Read(const Source& source) const;

  const Fetch fetch_;
  const std::function<Clock::time_point()> now_;
  Mutex mutex_;
  std::map<Source, Known> known_ GUARDED_BY(mutex_);
};

}  // namespace assertion::oauth
