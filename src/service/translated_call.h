#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "signing/hsm_group.h"

namespace assertion::service {

// The octets that a line of the audit log has of a client id that is not in the configuration.
inline constexpr std::size_t kMostOfUnknownClient = 64;

// A call of a method that came by another way than gRPC's own, and was translated into the method's message. From here
// on it takes the same way: admission, policy, budgets and audit log.
struct TranslatedCall {
  Result<Caller> caller;
  std::chrono::steady_clock::time_point deadline;
  std::shared_ptr<AssertionTicket> ticket = std::make_shared<AssertionTicket>();  // cancelled if nobody waits any more
  std::string trace_id;
  // That the way names, for the line of a refusal whose request could not be read; empty: none.
  std::string client_id = {};    // NOLINT(readability-redundant-member-init)
  AuditedCall::Release release;  // gets the method's response on the wire, which it wipes if it holds a secret

  // Notes the caller, and requires that the configuration names it. Notes the client of a caller that it names.
  Status Admit(const Policy& policy, AuditedCall& call) const;
};

}  // namespace assertion::service
