#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/approved_claims.h"
#include "assertion/caller.h"
#include "assertion/client.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_limits.h"
#include "assertion/random.h"
#include "assertion/rate.h"
#include "assertion/two_person_rule.h"
#include "policy/rate_limit.h"

namespace assertion {

// What a caller asks for, as it came.
struct AssertionRequest {
  std::string_view client_id;
  std::string_view audience;                     // empty: the client's first
  std::optional<std::chrono::seconds> lifetime;  // unset: the client's default
  const nlohmann::json* extra_claims = nullptr;  // null, or an object
  // The same as text, signed as it is written; not both.
  std::string_view extra_claims_json = {};  // NOLINT(readability-redundant-member-init)
};

// Decides who may do what, and what may be asserted: the one place that turns a request into claims that may be signed.
// Immutable but for what it counts; may be used from any thread. What is not allowed by name is denied:
// PERMISSION_DENIED says how the caller is known, and nothing of others, not even whether the client exists.
class Policy {
 public:
  static constexpr std::size_t kMaxExtraClaimsOctets = 8192;  // as JSON

  Policy(std::vector<Client> clients, std::vector<Operator> operators, Clock clock, Random random,
         TwoPersonRule two_person_rule = {}, std::optional<Rate> caller_rate = {}, KeyLimits key_limits = {});

  const TwoPersonRule& two_person_rule() const { return two_person_rule_; }
  const KeyLimits& key_limits() const { return key_limits_; }

  // For the client's own callers, each as often as the rate allows: RESOURCE_EXHAUSTED. INVALID_ARGUMENT names the
  // field.
  Result<ApprovedClaims> Approve(const Caller& caller, const AssertionRequest& request) const;

  // As Approve, for an operator who tries a key.
  Result<ApprovedClaims> ApproveTrial(const AssertionRequest& request) const;

  // For the client's own callers, and for those with any role.
  Result<const Client*> FindForReading(const Caller& caller, std::string_view client_id) const;

  // Whether the caller has the role; any role makes a viewer.
  Status Allow(const Caller& caller, Role role) const;

  // For those that the configuration names at all, among any client's callers or the operators.
  Status Admit(const Caller& caller) const;

  // All that these lists name, as configured.
  std::set<std::string> callers() const;

  // NOT_FOUND when it is not configured. Only for who has been allowed to know.
  Result<const Client*> FindClient(std::string_view client_id) const;

 private:
  struct Entry {
    Client client;
    std::vector<std::string> beginnings;  // of its claims as JSON, one for each audience
  };

  Result<const Entry*> Find(std::string_view client_id) const;
  Result<ApprovedClaims> Claims(const Entry& entry, const AssertionRequest& request) const;

  std::map<std::string, Entry, std::less<>> clients_;
  std::vector<Operator> operators_;
  std::set<std::string, std::less<>> listed_;  // callers and operators
  std::set<std::string> listed_patterns_;      // of them those that end with "/*"
  Clock clock_;
  Random random_;
  TwoPersonRule two_person_rule_;
  KeyLimits key_limits_;
  std::unique_ptr<RateLimit> limit_;  // null: none
};

// The policy in force; a reload replaces it as a whole.
using CurrentPolicy = std::atomic<std::shared_ptr<const Policy>>;

}  // namespace assertion
