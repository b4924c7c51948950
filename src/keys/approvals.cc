#include "keys/approvals.h"

#include <algorithm>
#include <variant>

namespace assertion {
namespace {

bool IsRequester(const Caller& caller, const PendingChange& change) {
  return std::ranges::find_first_of(caller.identities(), change.requested_by) != caller.identities().end();
}

}  // namespace

// No other call decides on the change while one holds it.
class Approvals::Exclusive {
 public:
  Exclusive(Approvals& approvals, const std::string& id) : approvals_(approvals), id_(id) {
    const MutexLock lock(approvals_.mutex_);
    taken_ = approvals_.deciding_.insert(id_).second;
  }
  ~Exclusive() {
    if (taken_) {
      const MutexLock lock(approvals_.mutex_);
      approvals_.deciding_.erase(id_);
    }
  }
  Exclusive(const Exclusive&) = delete;
  Exclusive& operator=(const Exclusive&) = delete;

  Status taken() const {
    return taken_
               ? Status()
               : Fail(Code::kAborted, "id: the change is being approved or withdrawn at this moment; see key pending");
  }

 private:
  Approvals& approvals_;
  const std::string& id_;
  bool taken_ = false;
};

Result<PendingChange> Approvals::Propose(const Caller& caller, KeyChange change, std::chrono::seconds window) {
  RETURN_IF_ERROR(administration_.Check(change));
  return pending_.Add(std::move(change), caller.identities(), administration_.Now() + window);
}

bool Approvals::IsRevocation(std::string_view id) const {
  const auto changes = pending_.List();
  return changes && std::ranges::any_of(*changes, [&](const auto& change) {
           return change.id == id && change.change && std::holds_alternative<KeyRevocation>(*change.change);
         });
}

Approvals::Decision Approvals::Approve(const Caller& caller, const std::string& id, std::string_view digest,
                                       const MayChangeKeys& may_change_keys) {
  const Exclusive exclusive(*this, id);
  if (const auto alone = exclusive.taken(); !alone) {
    return {.change = {}, .result = std::unexpected(alone.error()), .kept = {}};
  }
  auto change = pending_.Find(id, digest);
  if (!change) {
    return {.change = {}, .result = std::unexpected(change.error()), .kept = {}};
  }
  const auto refuse = [&](const Error& error) {
    return Decision{.change = *std::move(change), .result = std::unexpected(error), .kept = {}};
  };
  if (const auto may = MayApprove(caller, *change, may_change_keys); !may) {
    return refuse(may.error());
  }
  const auto taken = pending_.Take(id);  // from here on no other server withdraws it or makes it as well
  if (!taken) {
    return refuse(taken.error());
  }
  auto result = Perform(*change);
  auto kept = result ? Status() : pending_.PutBack(id, *taken);
  return {.change = *std::move(change), .result = std::move(result), .kept = std::move(kept)};
}

Status Approvals::MayApprove(const Caller& caller, const PendingChange& change, const MayChangeKeys& may_change_keys) {
  if (IsRequester(caller, change)) {
    return Fail(Code::kPermissionDenied,
                "you are known here as \"" + caller.name() +
                    "\", who asked for this change: another person with the role approver must "
                    "approve it");
  }
  if (change.requested_by.empty() || !may_change_keys(Caller::Authenticated(change.requested_by))) {
    return Fail(Code::kPermissionDenied, "who asked for this change may not change keys any more");
  }
  return change.change ? Status() : std::unexpected(change.change.error());
}

Result<ChangeResult> Approvals::Perform(const PendingChange& change) const {
  auto approved = *change.change;
  // Two requests in the same words, "now", may have other instants: an approval is no repetition of another change.
  std::visit([&](auto& one) { one.change.digest = change.digest; }, approved);
  return administration_.Perform(approved);
}

Approvals::Withdrawal Approvals::Withdraw(const Caller& caller, const std::string& id, bool is_approver) {
  const Exclusive exclusive(*this, id);
  if (auto taken = exclusive.taken(); !taken) {
    return {.change = {}, .result = std::move(taken)};
  }
  const auto changes = pending_.List();
  if (!changes) {
    return {.change = {}, .result = std::unexpected(changes.error())};
  }
  const auto change = std::ranges::find(*changes, id, &PendingChange::id);
  if (change == changes->end()) {
    return {.change = {},
            .result = Fail(Code::kNotFound, "id: no such change waits for approval, or its time is over")};
  }
  if (!is_approver && !IsRequester(caller, *change)) {
    return {.change = *change,
            .result = Fail(Code::kPermissionDenied,
                           "you are known here as \"" + caller.name() +
                               "\": only who asked for this change, or an approver, may withdraw it")};
  }
  const auto taken = pending_.Take(id);
  return {.change = *change, .result = taken ? Status() : std::unexpected(taken.error())};
}

Result<std::vector<PendingChange>> Approvals::RemoveExpired() {
  ASSIGN_OR_RETURN(auto expired, pending_.Expired());
  std::vector<PendingChange> removed;
  for (auto& change : expired) {
    const Exclusive exclusive(*this, change.id);  // an approval that began in time goes on
    if (exclusive.taken() &&
        pending_.Take(change.id, kWithoutWaiting)) {  // else another server took it, or the next call tries again
      removed.push_back(std::move(change));
    }
  }
  return removed;
}

}  // namespace assertion
