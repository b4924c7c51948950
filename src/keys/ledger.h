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

// What is known of one client's keys. A change replaces the whole by one of the next version.
struct ClientLedger {
  static constexpr std::size_t kMostRequests = 16;
  static constexpr std::size_t kMostKeys = 64;

  std::string client_id;
  std::int64_t version = 0;
  Schedule keys;
  std::vector<PastRequest> requests;  // newest last

  friend bool operator==(const ClientLedger&, const ClientLedger&) = default;
};

using Ledgers = std::map<std::string, ClientLedger, std::less<>>;  // by client id

// JSON, and back: strictly. kLedgerUnusable. All ledgers are {"clients":[…]}.
std::string ToJson(const ClientLedger& ledger);
Result<ClientLedger> ParseLedger(std::string_view text);
std::string ToJson(const Ledgers& ledgers);
Result<Ledgers> ParseLedgers(std::string_view text);

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

    // Replaces it, once; `next` is of next_version(). ABORTED when the hold was lost meanwhile: then nothing changed,
    // unless overtaken().
    virtual Status Commit(const ClientLedger& next) = 0;

    // Whether the hold was lost while Commit stored: then the change may or may not live on in the ledger of who took
    // it over, and what it made must stay.
    virtual bool overtaken() const { return false; }
  };

  // Every client's ledger.
  virtual Result<Ledgers> Read() = 0;

  // ABORTED when another administrator does not let go of it in time.
  virtual Result<std::unique_ptr<Hold>> Take(const std::string& client_id, const Patience& patience = {}) = 0;
};

}  // namespace assertion
