#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/ledger.h"
#include "keys/seal.h"

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

// Changes that wait, each a private data object on the token (CKA_APPLICATION "assertiond pending", CKA_VALUE its
// sealed JSON, see Seal): they survive a restart, and every server of the token has them. What is too old is gone. An
// object that does not verify is a stray: it is not listed, cannot be approved, and takes no place.
class PendingChanges {
 public:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kKeptForRevocations = 8;  // of them
  static constexpr std::size_t kMostOfOne = 16;          // that one identity asks for

  // `token` must outlive it.
  PendingChanges(Token& token, Clock clock, Random random)
      : token_(token), clock_(std::move(clock)), random_(std::move(random)), seal_(token, random_) {}

  // Takes over id (a random one) and keeps the change. RESOURCE_EXHAUSTED when too many wait, or too many of who asks
  // (by the first identity).
  Result<PendingChange> Add(PendingChange change);

  // By the time when they expire.
  Result<std::vector<PendingChange>> List() const;

  // NOT_FOUND; FAILED_PRECONDITION when the digest is another.
  Result<PendingChange> Find(std::string_view id, std::string_view digest) const;

  // One that is gone already counts as done.
  Status Remove(std::string_view id);

  // By name.
  Result<std::vector<StrayText>> Strays() const;

 private:
  // What stands on the token: changes whose time may be over with their objects, and strays.
  struct Kept {
    std::vector<std::pair<ObjectHandle, PendingChange>> changes;
    std::vector<StrayText> strays;
  };

  Result<Kept> Read(std::string_view id) const;
  Result<std::vector<PendingChange>> Sweep();
  static Status CheckRoom(const std::vector<PendingChange>& waiting, const PendingChange& next);

  Token& token_;
  const Clock clock_;
  const Random random_;
  mutable Seal seal_;
};

// Before there was a seal: destroys what older versions left, and tells how many. For the takeover alone (see Seal).
Result<std::size_t> DropUnsignedChanges(Token& token);

}  // namespace assertion
