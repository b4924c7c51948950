#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/key_administration.h"
#include "keys/pending_changes.h"

namespace assertion {

// The two-person rule: a change that one operator asked for waits on the token until another person approves it. Which
// changes need that, and which callers may approve, is decided before. All methods may be called from any thread.
class Approvals {
 public:
  // Whether the operator that asked may still change keys: an approver agrees with the operator, and does not replace
  // it.
  using MayChangeKeys = std::function<bool(const Caller& requester)>;

  // The result of an approval.
  struct Decision {
    std::optional<PendingChange> change;  // unset when no such change waits
    Result<ChangeResult> result;
    Status kept;  // an error: the change was not made, and does not wait any more either
  };

  // `administration` and `token` must outlive it. `pending_file`: see PendingChanges.
  Approvals(const KeyAdministration& administration, Token& token, Random random,
            PendingChanges::ReadRequest read_request, std::string pending_file = {})
      : administration_(administration),
        pending_(
            token, [&administration] { return administration.Now(); }, std::move(random), std::move(read_request),
            std::move(pending_file)) {}

  // Keeps the change for `window`. Errors as of KeyAdministration::Check and PendingChanges::Add.
  Result<PendingChange> Propose(const Caller& caller, KeyChange change, std::chrono::seconds window);

  // Ordered by expires_at.
  Result<std::vector<PendingChange>> List() const { return pending_.List(); }

  // Removes the changes whose time is over and answers those that it removed: each is answered once, on one server.
  Result<std::vector<PendingChange>> RemoveExpired();

  // True if the waiting change is an emergency revocation.
  bool IsRevocation(std::string_view id) const;

  // Makes the change. PERMISSION_DENIED: the caller asked for it, or the operator that asked may not change keys any
  // more. ABORTED: another call decides on it at this moment. NOT_FOUND: another server did. A change that cannot be
  // made waits on.
  Decision Approve(const Caller& caller, const std::string& id, std::string_view digest,
                   const MayChangeKeys& may_change_keys);

  // What was asked to be withdrawn.
  struct Withdrawal {
    std::optional<PendingChange> change;  // unset when no such change waits
    Status result;
  };

  // Drops the change. PERMISSION_DENIED: the caller neither asked for it nor is an approver, so that no operator can
  // keep another's change, a revocation above all, from being approved. ABORTED as above.
  Withdrawal Withdraw(const Caller& caller, const std::string& id, bool is_approver);

 private:
  class Exclusive;

  static Status MayApprove(const Caller& caller, const PendingChange& change, const MayChangeKeys& may_change_keys);
  Result<ChangeResult> Perform(const PendingChange& change) const;

  const KeyAdministration& administration_;
  PendingChanges pending_;
  Mutex mutex_;
  std::set<std::string, std::less<>> deciding_ GUARDED_BY(mutex_);  // ids of changes that are being decided on
};

}  // namespace assertion
