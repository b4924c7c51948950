#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/approved_claims.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token.h"
#include "keys/key_ring.h"
#include "signing/signing_queue.h"

namespace assertion {

// One HSM as the signing path sees it. KeyCustodian, which changes and destroys keys, is not part of it.
struct Hsm {
  std::string name;  // its token's label
  Token& token;
  KeyRing& keys;
  SigningQueue& queue;
};

// Cancels an assertion, wherever it waits.
struct AssertionTicket {
  explicit AssertionTicket(bool is_cancelled = false) : cancelled(is_cancelled) {}

  Mutex mutex;
  bool cancelled GUARDED_BY(mutex);
  SigningQueue* queue GUARDED_BY(mutex) = nullptr;  // null: it waits nowhere yet
  std::shared_ptr<JobTicket> place GUARDED_BY(mutex);
};

struct Assertion {
  std::string jws;    // RFC 7515 section 7.1
  SigningKeyPtr key;  // that signed it
};

struct AssertionJob {
  ApprovedClaims claims;
  std::string caller;
  std::chrono::steady_clock::time_point deadline;
  std::move_only_function<void(Result<Assertion>)> done;  // as SigningJob::done
  std::shared_ptr<AssertionTicket> ticket;
};

// The HSMs that sign for the same clients, in order of preference. The first healthy HSM with a key that signs for the
// client makes the assertion. If it fails, the same call is retried on the next HSM while there is time. With
// Binding::kJwks each HSM has keys of its own, and all are published; with kCertificate the other HSMs hold copies of
// the first one's keys (see KeyRing). An assertion is not released if its key was revoked meanwhile; it is signed again
// with another key. All methods may be called from any thread.
class HsmGroup {
 public:
  // `rank`: its place in the configuration; 0 is the first. The objects that `hsm` refers to must outlive the group.
  void Add(std::size_t rank, Hsm hsm);

  // In order of rank.
  std::vector<std::shared_ptr<const Hsm>> All() const;

  // There must be one.
  std::shared_ptr<const Hsm> First() const;

  // An empty name means the first. NOT_FOUND.
  Result<std::shared_ptr<const Hsm>> ByName(std::string_view name) const;

  struct Found {
    std::shared_ptr<const Hsm> hsm;
    ScheduledKey entry;
  };

  // As KeyRing::Find, on the first HSM that holds the key as its own, not as a copy.
  Result<Found> Find(std::string_view client_id, std::string_view kid) const;

  // As KeyRing::CountsUntil, of the HSM that was read last. The known keys of an HSM that is away stay published.
  std::chrono::steady_clock::time_point CountsUntil(std::string_view client_id) const;

  // The keys of all HSMs.
  ClientKeys KeysOf(std::string_view client_id) const;

  // The key that the client's next job would be signed with, as far as can be foreseen. FAILED_PRECONDITION as of
  // Submit.
  Result<SigningKeyPtr> SigningKeyOf(std::string_view client_id) const;

  // As SigningQueue::Submit; FAILED_PRECONDITION when no HSM holds a key that signs for the client now.
  Status Submit(AssertionJob job) const;

  static void Cancel(AssertionTicket& ticket);

 private:
  struct Attempt;
  using Ranked = std::vector<std::pair<std::size_t, std::shared_ptr<const Hsm>>>;

  static Status TryNext(const std::shared_ptr<Attempt>& attempt);
  static Status SubmitTo(const std::shared_ptr<Attempt>& attempt, const std::shared_ptr<const Hsm>& hsm,
                         SigningKeyPtr key);
  static void Finish(const std::shared_ptr<Attempt>& attempt, const std::shared_ptr<const Hsm>& hsm,
                     const SigningKeyPtr& key, Result<Signed> made);

  Mutex adding_;  // held while hsms_ is replaced
  std::atomic<std::shared_ptr<const Ranked>> hsms_{std::make_shared<const Ranked>()};
};

}  // namespace assertion
