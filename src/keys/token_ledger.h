#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "assertion/clock.h"
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
// That asks for a token that shows each process what another has stored. SoftHSM2 2.6.1 does not: a process that stores
// loses sight of what others stored since its last search (Generation::commit counts theirs as its own). So the
// processes of one machine change a token one after the other, too.
class TokenLedger final : public Ledger {
 public:
  // `holder` names this process among all that use the token, and is the same after its restart. Withdraws the claims
  // that it left. `token` must outlive the ledger.
  static Result<std::unique_ptr<TokenLedger>> Open(Token& token, std::string holder, Clock clock, Random random);

  Result<LedgerContents> Read() override;
  Result<std::unique_ptr<Hold>> Take(const std::string& client_id) override;
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
  Result<bool> Claim(const std::string& client_id, const std::string& nonce);
  Result<std::unique_ptr<Hold>> Held(MachineLock lock, const std::string& client_id, std::string nonce);
  Status Withdraw(const std::string& client_id, const std::string& nonce);

  Token& token_;
  const std::string holder_;
  const Clock clock_;
  const Random random_;
  LedgerSeal seal_;
  std::map<std::string, std::set<std::string>> over_;  // own claims by client, until they are gone; under the lock
};

}  // namespace assertion
