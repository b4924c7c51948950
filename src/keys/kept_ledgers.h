#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/mutex.h"
#include "keys/ledger.h"
#include "keys/seal.h"

namespace assertion {

// The meaning of a stored text: a ledger, or a client's trouble, or nothing. `ledger` and `error` null: a stray.
struct JudgedLedger {
  std::shared_ptr<const ClientLedger> ledger;
  std::string kid;             // of the key that sealed it; empty: none did
  std::string hash;            // HashOf the ledger, when it is sealed
  std::optional<Error> error;  // it verifies, and cannot be read
  std::string reason;          // of a stray
};

// Seals ledgers, and tells sealed ones. A text that was judged once is not verified and parsed again, so that reading
// 300 ledgers every few seconds costs 300 hashes. May be used from any thread.
class LedgerSeal {
 public:
  // `token` must outlive it.
  LedgerSeal(Token& token, Random random) : token_(token), seal_(token, std::move(random)) {}

  Result<std::string> Write(const ClientLedger& ledger);

  // Any error is the token's.
  Result<JudgedLedger> Judge(std::string_view text);

  using ReadAll = std::function<Result<LedgerContents>()>;
  // Seals the newest of what is unsigned, with the takeover key, all of it before any of it goes.
  using SealUnsigned = std::function<Status(Ledger::Takeover&)>;

  // As Ledger::TakeOver.
  Result<Ledger::Takeover> TakeOver(const ReadAll& read, const SealUnsigned& seal_unsigned);

  // Forgets texts that were not judged since the last time.
  void EndRound();

 private:
  struct Known {
    JudgedLedger judged;
    std::uint64_t round;
  };

  Result<JudgedLedger> JudgeAnew(std::string_view text);

  Token& token_;
  Seal seal_;
  Mutex mutex_;
  std::uint64_t round_ GUARDED_BY(mutex_) = 0;
  std::map<std::string, Known, std::less<>> known_ GUARDED_BY(mutex_);  // verified texts, by hash
};

// The stored versions of all clients, gathered from where they are stored.
class KeptLedgers {
 public:
  struct Version {
    std::size_t place;  // where it was found
    std::shared_ptr<const ClientLedger> ledger;
    std::string kid;   // as JudgedLedger::kid
    std::string hash;  // as JudgedLedger::hash
    bool sealed() const { return !kid.empty(); }
  };

  // `label`: the client that it is stored for; empty where only the text says that.
  void Add(std::size_t place, std::string_view label, JudgedLedger judged);
  void AddStray(std::string_view label, std::string reason);

  // All of a client's that count, the newest first. kLedgerUnusable when two differ of the newest version, the newest
  // was not made from any of the older ones, or one verifies and cannot be read.
  Result<std::vector<Version>> VersionsOf(const std::string& client_id) const;

  std::vector<std::string> clients() const;
  LedgerContents Contents() const;

 private:
  std::map<std::string, std::vector<Version>, std::less<>> versions_;
  std::map<std::string, Error, std::less<>> errors_;
  std::vector<StrayText> strays_;
};

}  // namespace assertion
