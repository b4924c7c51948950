#pragma once

#include <array>
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
#include "assertion/clients.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_limits.h"
#include "assertion/kubernetes_signer.h"
#include "assertion/random.h"
#include "assertion/rate.h"
#include "assertion/two_person_rule.h"
#include "policy/rate_limit.h"

namespace assertion {

// A caller's request for an assertion, not yet vetted.
struct AssertionRequest {
  std::string_view client_id;
  std::string_view audience;                     // empty: the first of the client
  std::optional<std::chrono::seconds> lifetime;  // unset: the client's default
  const nlohmann::json* extra_claims = nullptr;  // null, or an object
  // The same as JSON text, which is signed as written; at most one of the two may be set.
  std::string_view extra_claims_json = {};  // NOLINT(readability-redundant-member-init)
  std::string_view subject = {};            // NOLINT(readability-redundant-member-init): empty: the client's
  std::string_view scope = {};              // NOLINT(readability-redundant-member-init): empty: the client's
};

// A caller's request for a DPoP proof, not yet vetted. See CreateDpopProofRequest.
struct DpopProofRequest {
  std::string_view client_id;
  std::string_view htm;
  std::string_view htu;
  std::string_view ath;    // empty: none
  std::string_view nonce;  // empty: none
};

// A caller's request for a request object, not yet vetted. See CreateRequestObjectRequest.
struct RequestObjectRequest {
  std::string_view client_id;
  std::string_view audience;                     // empty: the first of the client
  std::optional<std::chrono::seconds> lifetime;  // unset: the client's default
  const nlohmann::json* claims = nullptr;        // null, or an object
  // The same as JSON text, which is signed as written; at most one of the two may be set.
  std::string_view claims_json = {};  // NOLINT(readability-redundant-member-init)
};

// A caller's request for an access token, not yet vetted. See GetAccessTokenRequest.
struct AccessTokenRequest {
  std::string_view client_id;
  std::string_view scope;     // empty: all that the caller may have
  std::string_view resource;  // empty: none
};

// The same, vetted.
struct ApprovedAccessToken {
  std::string scope;  // each once, in order, with one blank between two
  std::string resource;
  std::string dpop_client;  // as TokenSource::dpop_client
};

// Decides what each caller may do and what may be asserted: the one place that turns a request into claims to sign.
// Immutable except for its counters; may be used from any thread. It denies everything that is not allowed by name:
// PERMISSION_DENIED tells the caller its own identity, and nothing else, not even whether the client exists.
class Policy {
 public:
  static constexpr std::size_t kMaxExtraClaimsOctets = 8192;  // as JSON
  static constexpr std::size_t kMaxSubjectOctets = 255;
  static constexpr std::size_t kMaxScopeOctets = 2048;
  static constexpr std::size_t kMaxHtuOctets = 2048;

  Policy(Clients clients, std::vector<Operator> operators, Clock clock, Random random,
         TwoPersonRule two_person_rule = {}, std::optional<Rate> caller_rate = {}, KeyLimits key_limits = {},
         std::optional<KubernetesSigner> kubernetes = {});

  const TwoPersonRule& two_person_rule() const { return two_person_rule_; }
  const KeyLimits& key_limits() const { return key_limits_; }

  // Allowed for the client's callers, for the client's purposes. RESOURCE_EXHAUSTED: the caller exceeds its rate.
  // INVALID_ARGUMENT names the wrong field.
  Result<ApprovedClaims> Approve(const Caller& caller, const AssertionRequest& request) const;
  Result<ApprovedClaims> Approve(const Caller& caller, const DpopProofRequest& request) const;
  Result<ApprovedClaims> Approve(const Caller& caller, const RequestObjectRequest& request) const;

  // Like Approve, for an operator that tests a key: checks neither the caller nor its rate. FAILED_PRECONDITION: the
  // client's keys sign service account tokens alone.
  Result<ApprovedClaims> ApproveTrial(const AssertionRequest& request) const;

  // The same for a proof that assertiond itself sends.
  Result<ApprovedClaims> ApproveTrial(const DpopProofRequest& request) const;

  // Allowed for the client's callers and, for each scope, the callers that its entry names. PERMISSION_DENIED: one of
  // the scopes or the resource is not allowed. FAILED_PRECONDITION: the client has no `tokens`. Approve charges the
  // caller's rate; Recheck, before a token leaves, does not.
  Result<ApprovedAccessToken> Approve(const Caller& caller, const AccessTokenRequest& request) const;
  Result<ApprovedAccessToken> Recheck(const Caller& caller, const AccessTokenRequest& request) const;

  // Null: no kube-apiserver is served.
  const KubernetesSigner* kubernetes() const { return kubernetes_ ? &*kubernetes_ : nullptr; }

  // Requires that the caller is the configured kube-apiserver.
  Status AdmitKubernetes(const Caller& caller) const;

  // The claims of a service account token, vetted (ServiceAccountToken::Vet) and otherwise as kube-apiserver wrote
  // them. Allowed for the configured kube-apiserver, whose rate is not limited.
  Result<ApprovedClaims> ApproveServiceAccountToken(const Caller& caller, std::string_view segment) const;

  // Allowed for the client's callers and for operators with any role.
  Result<const Client*> FindForReading(const Caller& caller, std::string_view client_id) const;

  // Requires that the caller has the role; every role includes viewer.
  Status Allow(const Caller& caller, Role role) const;

  // Requires that the configuration names the caller, as a caller of any client or as an operator.
  Status Admit(const Caller& caller) const;

  // All callers of clients and all operators, as configured.
  std::set<std::string> callers() const;

  // NOT_FOUND when it is not configured. Call it only after the caller is allowed to know.
  Result<const Client*> FindClient(std::string_view client_id) const;

 private:
  // The first part of the claims as JSON, without the closing brace and without the values of `gaps`.
  struct Beginning {
    std::string text;
    std::vector<ApprovedClaims::Gap> gaps;

    void Add(std::string_view name, const std::vector<TemplatePiece>& pieces, const Client& client);
    void AddAudience(const Client& client, std::string_view audience);
  };
  struct Entry {
    const Client* client;  // one of `all_`
    // Indexed by Purpose; null: not one of the client's purposes.
    std::array<std::shared_ptr<const Profile>, kPurposes.size()> profiles;
    std::vector<Beginning> beginnings;  // of an assertion for each audience, with the client's own subject

    const std::shared_ptr<const Profile>& ProfileFor(Purpose purpose) const {
      return profiles.at(static_cast<std::size_t>(purpose));
    }
  };

  static Beginning BeginningOf(const Client& client, std::string_view audience, std::string_view subject);
  static std::vector<Beginning> BeginningsOf(const Client& client);

  Result<const Entry*> Find(std::string_view client_id) const;
  Result<const Entry*> FindFor(const Caller& caller, std::string_view client_id, Purpose purpose) const;
  Result<ApprovedClaims> Claims(const Entry& entry, const AssertionRequest& request) const;
  Result<ApprovedClaims> Claims(const Entry& entry, const DpopProofRequest& request) const;      // dpop_proof.cc
  Result<ApprovedClaims> Claims(const Entry& entry, const RequestObjectRequest& request) const;  // request_object.cc

  Clients all_;
  std::map<std::string_view, Entry> clients_;  // by client_id
  std::vector<Operator> operators_;
  std::set<std::string, std::less<>> listed_;  // callers and operators
  std::set<std::string> listed_patterns_;      // those that end with "/*"
  Clock clock_;
  Random random_;
  TwoPersonRule two_person_rule_;
  KeyLimits key_limits_;
  std::optional<KubernetesSigner> kubernetes_;
  std::unique_ptr<RateLimit> limit_;  // null: no limit
};

// The policy in force; a reload replaces it as a whole.
using CurrentPolicy = std::atomic<std::shared_ptr<const Policy>>;

}  // namespace assertion
