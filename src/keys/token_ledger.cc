#include "keys/token_ledger.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::string_view kLedgerObjects = "assertiond ledger";
constexpr std::string_view kClaimObjects = "assertiond claim";
constexpr seconds kClaimLifetime{120};  // a change with a new RSA-4096 key on a slow token takes less
constexpr seconds kLongestWait{10};
constexpr milliseconds kLongestPause{100};

struct ClaimText {
  std::string nonce;
  std::string holder;
  Time until;
};

std::string ToJson(const ClaimText& claim) {
  const nlohmann::ordered_json object = {
      {"nonce", claim.nonce}, {"holder", claim.holder}, {"until", claim.until.time_since_epoch().count()}};
  return object.dump();
}

// One that cannot be read is void: nobody's, and of the past.
ClaimText ParseClaim(const std::string& text) {
  const auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto member = [&](const char* name) {
    return object.is_object() ? object.value(name, nlohmann::json()) : nullptr;
  };
  ClaimText claim{.nonce = {}, .holder = {}, .until = {}};
  if (member("nonce").is_string() && member("holder").is_string() && member("until").is_number_integer()) {
    claim = {.nonce = member("nonce").get<std::string>(),
             .holder = member("holder").get<std::string>(),
             .until = Time(seconds(member("until").get<std::int64_t>()))};
  }
  return claim;
}

// Those that took the PIN to make: a public object may be anybody's.
Result<std::vector<TokenData>> FindPrivate(Token& token, std::string_view application, std::string_view label) {
  auto objects = token.FindData(application, label);
  if (objects) {
    std::erase_if(*objects, [](const auto& object) { return !object.is_private; });
  }
  return objects;
}

struct Stored {
  ObjectHandle handle;
  ClientLedger ledger;
};

Result<Stored> Parse(const TokenData& data) {
  auto ledger = ParseLedger(data.value);
  if (!ledger || ledger->client_id != data.label) {
    return Fail(Code::kLedgerUnusable, "the ledger of client '" + data.label + "' on the token is unusable",
                ledger ? "it names client '" + ledger->client_id + "'" : ledger.error().ToString());
  }
  return Stored{.handle = data.handle, .ledger = std::move(*ledger)};
}

// Of one client's versions the newest counts.
Result<std::optional<Stored>> Newest(std::vector<Stored> versions) {
  std::optional<Stored> newest;
  for (auto& stored : versions) {
    if (newest && newest->ledger.version == stored.ledger.version) {
      return Fail(Code::kLedgerUnusable, "the token holds two ledgers of version " +
                                             std::to_string(stored.ledger.version) + " for client '" +
                                             stored.ledger.client_id + "'");
    }
    if (!newest || newest->ledger.version < stored.ledger.version) {
      newest = std::move(stored);
    }
  }
  return newest;
}

Result<std::vector<Stored>> ParseAll(const Result<std::vector<TokenData>>& objects) {
  if (!objects) {
    return std::unexpected(objects.error());
  }
  std::vector<Stored> versions;
  for (const auto& object : *objects) {
    auto stored = Parse(object);
    if (!stored) {
      return std::unexpected(stored.error());
    }
    versions.push_back(std::move(*stored));
  }
  return versions;
}

}  // namespace

class TokenLedger::TokenHold final : public Ledger::Hold {
 public:
  TokenHold(MachineLock lock, TokenLedger& owner, std::string nonce, std::string client_id)
      : lock_(std::move(lock)), owner_(owner), nonce_(std::move(nonce)), client_id_(std::move(client_id)) {
    current_.client_id = client_id_;
  }
  ~TokenHold() override { static_cast<void>(owner_.Withdraw(client_id_, nonce_)); }
  TokenHold(const TokenHold&) = delete;
  TokenHold& operator=(const TokenHold&) = delete;

  // Reads what is there now that nobody else changes it.
  Status Read() {
    auto versions = ParseAll(FindPrivate(owner_.token_, kLedgerObjects, client_id_));
    auto newest = versions ? Newest(*versions) : std::unexpected(versions.error());
    if (!newest) {
      return std::unexpected(newest.error());
    }
    if (!*newest) {
      return {};
    }
    for (const auto& stored : *versions) {
      if (stored.handle != (*newest)->handle) {
        older_.push_back(stored.handle);
      }
    }
    current_ = std::move((*newest)->ledger);
    return {};
  }

  const ClientLedger& current() const override { return current_; }

  Status Commit(const ClientLedger& next) override {
    // Half the claim's life is left for the writing itself.
    if (steady_clock::now() - taken_ > kClaimLifetime / 2) {
      return Fail(Code::kAborted, "the change took too long: read the keys again and decide again");
    }
    if (auto stored = owner_.token_.StoreData(kLedgerObjects, client_id_, assertion::ToJson(next)); !stored) {
      return stored;
    }
    for (const auto handle : older_) {
      static_cast<void>(owner_.token_.DestroyObject(handle));  // what stays is removed by a later change
    }
    return {};
  }

 private:
  const MachineLock lock_;
  TokenLedger& owner_;
  const std::string nonce_;
  const std::string client_id_;
  const steady_clock::time_point taken_ = steady_clock::now();
  ClientLedger current_;
  std::vector<ObjectHandle> older_;
};

Result<std::unique_ptr<TokenLedger>> TokenLedger::Open(Token& token, std::string holder, Clock clock, Random random) {
  std::unique_ptr<TokenLedger> ledger(new TokenLedger(token, std::move(holder), std::move(clock), std::move(random)));
  const auto lock = MachineLock::TakeFor(token);
  const auto claims = lock ? FindPrivate(token, kClaimObjects, {}) : std::unexpected(lock.error());
  if (!claims) {
    return std::unexpected(claims.error());
  }
  for (const auto& claim : *claims) {
    if (ParseClaim(claim.value).holder == ledger->holder_) {
      if (const auto destroyed = token.DestroyObject(claim.handle); !destroyed) {
        return std::unexpected(destroyed.error());
      }
    }
  }
  return ledger;
}

Result<Ledgers> TokenLedger::Read() {
  auto all = ParseAll(FindPrivate(token_, kLedgerObjects, {}));
  if (!all) {
    return std::unexpected(all.error());
  }
  std::map<std::string, std::vector<Stored>> by_client;
  for (auto& stored : *all) {
    by_client[stored.ledger.client_id].push_back(std::move(stored));
  }
  Ledgers ledgers;
  for (auto& [client_id, versions] : by_client) {
    auto newest = Newest(std::move(versions));
    if (!newest) {
      return std::unexpected(newest.error());
    }
    ledgers.emplace(client_id, std::move((*newest)->ledger));
  }
  return ledgers;
}

// True when no other claim stands. Of two that are stored before either looks, each sees the other.
Result<bool> TokenLedger::Claim(const std::string& client_id, const std::string& nonce) {
  const auto now = clock_();
  if (const auto stored =
          token_.StoreData(kClaimObjects, client_id,
                           ToJson(ClaimText{.nonce = nonce, .holder = holder_, .until = now + kClaimLifetime}));
      !stored) {
    return std::unexpected(stored.error());
  }
  const auto claims = FindPrivate(token_, kClaimObjects, client_id);
  if (!claims) {
    return std::unexpected(claims.error());
  }
  bool alone = true;
  auto& over = over_[client_id];
  std::set<std::string> left;
  for (const auto& object : *claims) {
    const auto claim = ParseClaim(object.value);
    if (claim.nonce == nonce) {
      continue;
    }
    if (over.contains(claim.nonce)) {
      left.insert(claim.nonce);
    } else if (claim.until >= now) {
      alone = false;
      continue;
    }
    static_cast<void>(token_.DestroyObject(object.handle));
  }
  over = std::move(left);
  return alone;
}

// Void from now on for this process, whatever the token does, or says that it did.
Status TokenLedger::Withdraw(const std::string& client_id, const std::string& nonce) {
  over_[client_id].insert(nonce);
  const auto claims = FindPrivate(token_, kClaimObjects, client_id);
  if (!claims) {
    return std::unexpected(claims.error());
  }
  for (const auto& object : *claims) {
    if (ParseClaim(object.value).nonce == nonce) {
      return token_.DestroyObject(object.handle);
    }
  }
  return {};
}

Result<std::unique_ptr<Ledger::Hold>> TokenLedger::Take(const std::string& client_id) {
  auto lock = MachineLock::TakeFor(token_);
  // Before anything is stored: see the class.
  const auto look = lock ? FindPrivate(token_, kClaimObjects, client_id) : std::unexpected(lock.error());
  if (!look) {
    return std::unexpected(look.error());
  }
  const auto deadline = steady_clock::now() + kLongestWait;
  while (true) {
    std::array<std::uint8_t, 16> octets{};
    if (!random_(octets)) {
      return Fail(Code::kInternal, "the random number generator failed");
    }
    auto nonce = Hex(octets);
    const auto alone = Claim(client_id, nonce);
    if (alone && *alone) {
      return Held(std::move(*lock), client_id, std::move(nonce));
    }
    const auto withdrawn = Withdraw(client_id, nonce);
    if (!alone || !withdrawn) {
      return std::unexpected(alone ? withdrawn.error() : alone.error());
    }
    if (steady_clock::now() >= deadline) {
      return Fail(Code::kAborted, "another administrator is changing the keys of client '" + client_id +
                                      "': read them again and decide again");
    }
    std::this_thread::sleep_for(kLongestPause * (octets[0] + 1) / 256);
  }
}

Result<std::unique_ptr<Ledger::Hold>> TokenLedger::Held(MachineLock lock, const std::string& client_id,
                                                        std::string nonce) {
  auto hold = std::make_unique<TokenHold>(std::move(lock), *this, std::move(nonce), client_id);
  if (const auto read = hold->Read(); !read) {
    return std::unexpected(read.error());
  }
  return hold;
}

}  // namespace assertion
