#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/entries_file.h"
#include "keys/key_change.h"
#include "keys/ledger.h"
#include "keys/patience.h"
#include "keys/seal.h"

namespace assertion {

// A change that waits for a second person.
struct PendingChange {
  std::string id;
  std::string method;  // see MethodOf
  std::string client_id;
  std::string kid;                        // see KidOf
  Result<KeyChange> change;               // FAILED_PRECONDITION when this process cannot read it
  std::string digest;                     // of the method and the change's text: what is approved
  std::vector<std::string> requested_by;  // all identities of the operator that asked
  Time expires_at;
};

// Changes that wait, each a private data object on the token (CKA_APPLICATION "assertiond pending", CKA_VALUE its
// sealed JSON, see Seal): they survive a restart, and every server of the token sees them. Expired changes are not
// listed and take no place until Approvals::RemoveExpired removes them. An object that does not verify is a stray: it
// is not listed, cannot be approved, and takes no place. Where the token stores no data objects, changes are kept in a
// file.
//
// The JSON has {version: 2, id, change, digest, requested_by, expires_at}; `change` is the text of key_change_text.h.
// Versions of assertiond before that format stored {id, method, client_id, kid, request, digest, requested_by,
// expires_at} with the Protobuf request of the method, base64url.
class PendingChanges {
 public:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kKeptForRevocations = 8;  // of them
  static constexpr std::size_t kMostOfOne = 16;          // that one identity asks for

  // Reads a method's Protobuf request, which the core cannot.
  using ReadRequest = std::function<Result<KeyChange>(std::string_view method, const std::string& request)>;

  // `token` must outlive it. Without `read_request`, changes in the format with a Protobuf request cannot be read.
  // `file`: for changes that the token does not store; empty: none.
  PendingChanges(Token& token, Clock clock, Random random, ReadRequest read_request = {}, std::string file = {})
      : token_(token),
        clock_(std::move(clock)),
        random_(std::move(random)),
        read_request_(std::move(read_request)),
        seal_(token, random_) {
    if (!file.empty()) {
      file_.emplace(std::move(file));
    }
  }

  // Keeps the change under a random id. A request id that this requester used for a change that waits: answers that
  // change and keeps nothing new, or INVALID_ARGUMENT when it was for another request. RESOURCE_EXHAUSTED when too many
  // wait, or too many of this requester (by the first identity).
  Result<PendingChange> Add(KeyChange change, std::vector<std::string> requested_by, Time expires_at);

  // Ordered by expires_at.
  Result<std::vector<PendingChange>> List() const;
  Result<std::vector<PendingChange>> Expired() const;

  // NOT_FOUND; FAILED_PRECONDITION when the digest is another.
  Result<PendingChange> Find(std::string_view id, std::string_view digest) const;

  // Takes the change off, for who makes or withdraws it: of several at the servers of one lock folder one gets it.
  // Answers its sealed text, for PutBack. NOT_FOUND: it does not wait any more.
  Result<std::string> Take(std::string_view id, const Patience& patience = kBeside);

  // Has the change wait again that Take took off, and that was not made.
  Status PutBack(const std::string& id, const std::string& sealed);

  // Ordered by name.
  Result<std::vector<StrayText>> Strays() const;

 private:
  // Where a change is kept: an object on the token, or an entry of the file.
  struct Place {
    std::optional<ObjectHandle> object;  // unset: in the file
    std::string sealed;
  };

  // Changes, expired ones included, and strays.
  struct Kept {
    std::vector<std::pair<Place, PendingChange>> changes;
    std::vector<StrayText> strays;
  };

  Result<Kept> Read(std::string_view id) const;
  Status ReadToken(std::string_view id, Kept& kept) const;
  Status ReadFile(std::string_view id, Kept& kept) const;
  Result<PendingChange> Unseal(const std::string& sealed) const;
  Status Store(const std::string& id, const std::string& sealed);
  Status Destroy(const Place& place);
  Result<std::vector<PendingChange>> Listed(bool expired) const;
  static Result<std::optional<PendingChange>> FindRepeated(const std::vector<PendingChange>& waiting,
                                                           const PendingChange& next);
  static Status CheckRoom(const std::vector<PendingChange>& waiting, const PendingChange& next);

  Token& token_;
  const Clock clock_;
  const Random random_;
  const ReadRequest read_request_;
  mutable Seal seal_;
  std::optional<EntriesFile> file_;
};

// Destroys the unsigned changes of versions of assertiond without a seal and answers their number. Only the takeover
// calls it (see Seal).
Result<std::size_t> DropUnsignedChanges(Token& token);

}  // namespace assertion
