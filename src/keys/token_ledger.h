#pragma once

#include <chrono>
#include <string>

#include "assertion/clock.h"
#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/ledger.h"

namespace assertion {

// The ledger on the token: for each client a private data object of its own, CKA_APPLICATION "assertiond ledger",
// CKA_LABEL the client id. A change stores version N+1, then destroys version N: what a crash leaves reads as one of
// both.
//
// PKCS#11 has no lock, so an administrator first stores a claim (CKA_APPLICATION "assertiond claim") and then looks:
// alone, it holds the client; of two who see each other both withdraw and try again after a random pause. A claim that
// nobody withdrew is void after its time, or at the next start of the process that made it.
class TokenLedger final : public Ledger {
 public:
  // `holder` names this process among all that use the token, and is the same after its restart. Withdraws the claims
  // that it left. `token` must outlive the ledger.
  static Result<std::unique_ptr<TokenLedger>> Open(Token& token, std::string holder, Clock clock, Random random);

  Result<Ledgers> Read() override;
  Result<std::unique_ptr<Hold>> Take(const std::string& client_id) override;

 private:
  TokenLedger(Token& token, std::string holder, Clock clock, Random random)
      : token_(token), holder_(std::move(holder)), clock_(std::move(clock)), random_(std::move(random)) {}

  class TokenHold;

  Result<bool> Claim(const std::string& client_id, const std::string& nonce);
  Result<std::unique_ptr<Hold>> Held(const std::string& client_id, std::string nonce);
  Status Withdraw(const std::string& client_id, const std::string& nonce);

  Token& token_;
  const std::string holder_;
  const Clock clock_;
  const Random random_;
};

}  // namespace assertion
