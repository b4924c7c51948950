#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"

namespace assertion {

// A change that waits for a second person.
struct PendingChange {
  std::string id;
  std::string method;  // of KeyAdminService, for example RevokeKey
  std::string client_id;
  std::string kid;
  std::string request;                    // the method's request, as it came
  std::string digest;                     // of method and request: what is approved
  std::vector<std::string> requested_by;  // all identities of who asked
  Time expires_at;
};

// Changes that wait, each a private data object on the token (CKA_APPLICATION "assertiond pending"): they survive a
// restart, and every server of the token has them. What is too old is gone.
class PendingChanges {
 public:
  static constexpr std::size_t kMost = 64;

  // `token` must outlive it.
  PendingChanges(Token& token, Clock clock, Random random)
      : token_(token), clock_(std::move(clock)), random_(std::move(random)) {}

  // Takes over id (a random one) and keeps the change. RESOURCE_EXHAUSTED when too many wait.
  Result<PendingChange> Add(PendingChange change);

  // By the time when they expire.
  Result<std::vector<PendingChange>> List() const;

  // NOT_FOUND; FAILED_PRECONDITION when the digest is another.
  Result<PendingChange> Find(std::string_view id, std::string_view digest) const;

  // One that is gone already counts as done.
  Status Remove(std::string_view id);

 private:
  Result<std::size_t> Sweep();

  Token& token_;
  const Clock clock_;
  const Random random_;
};

}  // namespace assertion
