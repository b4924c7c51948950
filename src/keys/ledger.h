#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
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

  // One client's ledger held for a change: nobody else can change it until this object is gone.
  class Hold {
   public:
    Hold() = default;
    virtual ~Hold() = default;
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // As it was read after it was taken hold of; version 0 and empty when there is none.
    virtual const ClientLedger& current() const = 0;

    // Replaces it, once; `next` is of the next version. ABORTED when the hold was lost meanwhile: then nothing changed.
    virtual Status Commit(const ClientLedger& next) = 0;
  };

  // Every client's ledger.
  virtual Result<Ledgers> Read() = 0;

  // ABORTED when another administrator does not let go of it for some seconds.
  virtual Result<std::unique_ptr<Hold>> Take(const std::string& client_id) = 0;
};

}  // namespace assertion
