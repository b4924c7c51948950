#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "keys/patience.h"
#include "keys/schedule.h"

namespace assertion {

// A request that was acted on: repeated, it must not act twice.
struct PastRequest {
  std::string id;
  std::string digest;  // of what was asked
  std::string kid;     // of the key that it made or changed

  friend bool operator==(const PastRequest&, const PastRequest&) = default;
};

// The keys of one client. A change replaces the whole by one of the next version.
struct ClientLedger {
  static constexpr std::size_t kMostRequests = 16;
  static constexpr std::size_t kMostKeys = 64;

  std::string client_id;
  std::int64_t version = 0;
  std::string previous;  // HashOf the one that it was made from (see KeptLedgers); empty for the first, and the first
                         // that was signed
  Schedule keys;
  std::vector<PastRequest> requests;  // newest last

  friend bool operator==(const ClientLedger&, const ClientLedger&) = default;
};

using Ledgers = std::map<std::string, ClientLedger, std::less<>>;  // by client id

// JSON, and back: strictly. kLedgerUnusable. One of 8 keys with a certificate each takes less than 4,000 octets when it
// is sealed, and a past request 230 more; tokens store so many at least (openCryptoki). An adopted key with the longest
// CKA_ID takes 68 more.
std::string ToJson(const ClientLedger& ledger);
Result<ClientLedger> ParseLedger(std::string_view text);

// As before there was a seal: without `previous`.
Result<ClientLedger> ParseUnsignedLedger(std::string_view text);

// A file's entries, each a JWS or an unsigned ledger's JSON, and back. kLedgerUnusable when it is not such a file.
Result<std::vector<std::string>> ParseLedgerFile(std::string_view text);
std::string LedgerFileOf(const std::vector<std::string>& entries);

// base64url of the SHA-256 of its JSON. Not of what is stored: two servers may have sealed the same by two keys.
std::string HashOf(const ClientLedger& ledger);

// What calls itself a ledger, or a pending change, and does not verify. It counts for nothing, and stops nothing; only
// an operator removes it.
struct StrayText {
  std::string name;    // what it calls itself, made fit to be shown
  std::string reason;  // why it does not count

  friend bool operator==(const StrayText&, const StrayText&) = default;
};

// Why a ledger does not count, when a later version of it was seen.
Error TooOld(const std::string& client_id, std::int64_t version, std::int64_t seen);

// `name` cut, and without what would steer a terminal.
std::string Shown(std::string_view name);

// The stored content.
struct LedgerContents {
  Ledgers ledgers;                                   // those that count
  std::map<std::string, Error, std::less<>> errors;  // why another client has none, by client id: kLedgerUnusable
  std::map<std::string, std::string, std::less<>> signed_by;  // the kid, by client id; none: older than the seal
  std::vector<StrayText> strays;                              // by name
};

// Where the ledgers are kept. All methods may be called from any thread, and by many processes at once.
class Ledger {
 public:
  Ledger() = default;
  virtual ~Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // One client's ledger held for a change: until this object is gone nobody else can change it, but for the emergency
  // brake, which takes it over (see Patience).
  class Hold {
   public:
    Hold() = default;
    virtual ~Hold() = default;
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // As it was read after it was taken hold of; version 0 and empty when there is none.
    virtual const ClientLedger& current() const = 0;

    // The version that Commit takes: higher than any that who held the client before can still commit.
    virtual std::int64_t next_version() const { return current().version + 1; }

    // Replaces it, once; `next` is of next_version() or higher and names the hash of this one. ABORTED when the hold
    // was lost meanwhile: then nothing changed, unless overtaken().
    virtual Status Commit(const ClientLedger& next) = 0;

    // Whether the hold was lost while Commit stored: then the change may or may not live on in the ledger of who took
    // it over, and what it made must stay.
    virtual bool overtaken() const { return false; }
  };

  // Every client's ledger. An error is the token's or the file's: one client's trouble is that client's alone.
  virtual Result<LedgerContents> Read() = 0;

  // ABORTED when another administrator does not let go of it in time; kLedgerUnusable: see LedgerContents.
  virtual Result<std::unique_ptr<Hold>> Take(const std::string& client_id, const Patience& patience = {}) = 0;

  // Unsigned ledgers of older versions that a first start took over.
  struct Takeover {
    std::vector<std::string> clients;   // whose ledgers are signed now
    std::map<std::string, Error> left;  // whose could not be: they have none
    std::size_t dropped = 0;            // pending changes that are gone
  };

  // At each start, before the ledgers are read: the first one takes over what is unsigned (see Seal). What it does not
  // take over is a stray for ever.
  virtual Result<Takeover> TakeOver() = 0;
};

}  // namespace assertion
