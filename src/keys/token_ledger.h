#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/mutex.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/kept_ledgers.h"
#include "keys/ledger.h"
#include "keys/machine_lock.h"

namespace assertion {

// The ledger on the token: for each client a private data object of its own, CKA_APPLICATION "assertiond ledger",
// CKA_LABEL the client id, CKA_VALUE its sealed JSON (see Seal). A change stores version N+1, then destroys version
// N-1: what a crash leaves reads as one of both. Version N stays, because a search is no snapshot: one that began
// before N+1 was there and meets N when it is gone would find no ledger at all (seen with SoftHSM2).
//
// PKCS#11 has no lock, so an administrator first stores a claim (CKA_APPLICATION "assertiond claim") and then looks:
// alone, it holds the client; of two who see each other both withdraw and try again after a random pause. A claim that
// nobody withdrew is void after its time, or for the process that made it at once.
//
// The emergency brake waits for 1 s, then stores a claim of a higher level, destroys the others, and only then reads
// the ledger (version N). An ordinary change looks for its own claim right before it stores N+1 and right after: gone
// before, it stores nothing; still there after, the brake read N+1; gone after, nobody knows, and it destroys nothing.
// However late its N+1 arrives, the brake's version is N+1+level, at least N+2, and the newest counts. A brake that
// takes over from another brake takes a higher level yet, so the same holds between them.
//
// That asks for a token that shows each process what another has stored. SoftHSM2 2.6.1 does not: a process that stores
// loses sight of what others stored since its last search (Generation::commit counts theirs as its own). So the
// processes of one machine change a token one after the other, too. A brake that could not wait for that touches the
// token once more when the others are done (see Read), so that they see what it stored.
class TokenLedger final : public Ledger {
 public:
  // `holder` names this process among all that use the token, and is the same after its restart. Withdraws the claims
  // that it left. `token` must outlive the ledger.
  static Result<std::unique_ptr<TokenLedger>> Open(Token& token, std::string holder, Clock clock, Random random);

  Result<LedgerContents> Read() override;
  Result<std::unique_ptr<Hold>> Take(const std::string& client_id, const Patience& patience = {}) override;
  Result<Takeover> TakeOver() override;

 private:
  TokenLedger(Token& token, std::string holder, Clock clock, Random random)
      : token_(token),
        holder_(std::move(holder)),
        clock_(std::move(clock)),
        random_(std::move(random)),
        seal_(token, random_) {}

  class TokenHold;

  Result<KeptLedgers> Gather(const std::vector<TokenData>& data);
  Status SealUnsigned(Takeover& done);
  Result<std::optional<int>> Claim(const std::string& client_id, const std::string& nonce, int level);
  Status RemoveOtherClaims(const std::string& client_id, const std::string& nonce);
  Result<bool> Stands(const std::string& client_id, const std::string& nonce);
  Result<std::unique_ptr<Hold>> Held(MachineLock lock, const std::string& client_id, std::string nonce, int level);
  Status Withdraw(const std::string& client_id, const std::string& nonce);
  void Touch();

  Token& token_;
  const std::string holder_;
  const Clock clock_;
  const Random random_;
  LedgerSeal seal_;
  Mutex mutex_;
  std::map<std::string, std::set<std::string>> over_ GUARDED_BY(mutex_);  // own claims by client, until they are gone
  std::atomic<bool> owes_touch_ = false;                                  // changed the token beside another process
};

}  // namespace assertion
