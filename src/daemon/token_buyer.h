#pragma once

#include <chrono>
#include <expected>
#include <future>
#include <map>
#include <optional>
#include <stop_token>
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
  void Buy(const tokens::Wanted& wanted, tokens::AccessTokens::Receive receive,
           tokens::AccessTokens::IsUnwanted is_unwanted);

  // Refuses what waits, and ends what is being asked.
  void Stop();

 private:
  // A purchase under way.
  struct Buying {
    const tokens::Wanted& wanted;
    const Policy& policy;
    const Client& client;
    oauth::Url endpoint;
    audit::Event event;
    std::chrono::steady_clock::time_point until;  // its last request is answered by then
    // Set with the line of a token: those who wait for the token record theirs before the writer begins.
    std::optional<audit::Log::Together>& together;
  };
  // What a request authenticates with: good for one.
  struct Credentials {
    std::string assertion;
    std::string proof;     // empty: none
    std::string jti = {};  // of the assertion; empty: it has none
    std::string kid = {};  // of the assertion's key
  };
  // A JWS that must not leave before its line is durable.
  struct Signed {
    Assertion assertion;
    audit::Event event;
  };

  void Work();
  std::string OriginFor(const std::string& client_id) const;
  tokens::Purchase BuyOne(const tokens::Wanted& wanted, std::optional<audit::Log::Together>& together);
  tokens::Purchase BuyFrom(Buying& buying);
  Result<oauth::HttpAnswer> Send(const Buying& buying, Credentials credentials) const;
  tokens::Purchase Failed(Buying& buying, tokens::Refusal refusal) const;
  tokens::Purchase FailedByServer(Buying& buying, tokens::Refusal refusal);
  Result<oauth::Url> EndpointOf(const TokenSource& source);
  std::expected<Credentials, tokens::Refusal> NewCredentials(const Buying& buying, const std::string& nonce) const;
  Result<Signed> NewAssertion(const Buying& buying) const;
  Result<Signed> NewProof(const Buying& buying, const std::string& nonce) const;
  Result<Signed> Sign(ApprovedClaims claims, audit::Event event) const;
  bool MayRepeat(const Buying& buying, const oauth::HttpAnswer& answer) const;
  std::string NonceFor(const Buying& buying);
  void KeepNonce(const Buying& buying, const oauth::HttpAnswer& answer);
  std::future<Status> Record(const audit::Event& event) const;
  tokens::PurchaseLinePtr RecordPurchase(Buying& buying) const;

  const CurrentPolicy& policy_;
  const HsmGroup& hsms_;
  audit::Log* audit_ = nullptr;
  std::stop_source stop_;  // requested under mutex_
  oauth::DiscoveredEndpoints endpoints_{stop_.get_token()};
  Mutex mutex_;
  ConditionVariable filled_;
  PurchaseQueue queue_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> nonces_ GUARDED_BY(mutex_);  // for proofs: the last, by ServerOf
  std::vector<std::jthread> threads_;
};

}  // namespace assertion
