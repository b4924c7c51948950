#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token_source.h"
#include "audit/log.h"
#include "daemon/purchase_queue.h"
#include "oauth/discovered_endpoints.h"
#include "oauth/http.h"
#include "policy/policy.h"
#include "signing/hsm_group.h"
#include "tokens/access_tokens.h"

namespace assertion {

// Buys access tokens from identity servers, on threads of its own: has an assertion made as for a caller, records it,
// sends it, records what came back. A server that does not answer holds up no purchase from another. All arguments must
// outlive it.
class TokenBuyer {
 public:
  TokenBuyer(const CurrentPolicy& policy, const HsmGroup& hsms) : policy_(policy), hsms_(hsms) {}

  // Stops.
  ~TokenBuyer() { Stop(); }
  TokenBuyer(const TokenBuyer&) = delete;
  TokenBuyer& operator=(const TokenBuyer&) = delete;

  // `audit` null: nothing is recorded.
  void Start(audit::Log* audit);

  // As AccessTokens::Options::buy.
  void Buy(const tokens::Wanted& wanted, tokens::AccessTokens::Receive receive);

  // Refuses what waits, and waits for what is being asked.
  void Stop();

 private:
  void Work();
  std::string OriginFor(const std::string& client_id) const;
  tokens::Purchase BuyOne(const tokens::Wanted& wanted);
  Result<oauth::Url> EndpointOf(const TokenSource& source);
  Result<std::string> NewAssertion(const Policy& policy, const Client& client) const;
  Status Record(const audit::Event& event) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  audit::Log* audit_ = nullptr;
  oauth::DiscoveredEndpoints endpoints_;
  Mutex mutex_;
  ConditionVariable filled_;
  PurchaseQueue queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace assertion
