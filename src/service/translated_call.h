#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "policy/policy.h"
#include "service/audited_call.h"
#include "signing/hsm_group.h"

namespace assertion::service {

// A call of a method that came by another way than gRPC's own, and was translated into the method's message. From here
// on it takes the same way: admission, policy, budgets and audit log.
struct TranslatedCall {
  Result<Caller> caller;
  std::chrono::steady_clock::time_point deadline;
  std::shared_ptr<AssertionTicket> ticket = std::make_shared<AssertionTicket>();  // cancelled if nobody waits any more
  std::string trace_id;
  AuditedCall::Release release;  // gets the method's response on the wire, which it wipes if it holds a secret

  // Notes the caller, and requires that the configuration names it.
  Status Admit(const Policy& policy, AuditedCall& call) const {
    if (!caller) {
      return std::unexpected(caller.error());
    }
    call.event().caller = caller->name();
    return policy.Admit(*caller);
  }
};

}  // namespace assertion::service
