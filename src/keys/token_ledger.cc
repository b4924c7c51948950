#include "keys/token_ledger.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "jws/foreign_json.h"
#include "keys/data_trial.h"

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::string_view kLedgerObjects = "assertiond ledger";
constexpr std::string_view kClaimObjects = "assertiond claim";
// A first key of a type costs up to five key pairs, because the custody is tried before: on a slow token, of RSA-4096,
// that is less than half of this. The claim of a process that crashed is void at its next start.
constexpr seconds kClaimLifetime{600};
constexpr milliseconds kLongestPause{100};
constexpr int kHighestLevel = 1000;

struct ClaimText {
  std::string nonce;
  std::string holder;
  Time until;
  int level = 0;  // 0: an ordinary change; a brake's is higher than those that it takes over from
};

std::string ToJson(const ClaimText& claim) {
  const nlohmann::ordered_json object = {{"nonce", claim.nonce},
                                         {"holder", claim.holder},
                                         {"until", claim.until.time_since_epoch().count()},
                                         {"level", claim.level}};
  return object.dump();
}

// One that cannot be read is void: nobody's, and of the past.
ClaimText ParseClaim(const std::string& text) {
  const auto object = jws::ParseForeign(text);
  const auto member = [&](const char* name) {
    return object.is_object() ? object.value(name, nlohmann::json()) : nullptr;
  };
  ClaimText claim{.nonce = {}, .holder = {}, .until = {}};
  if (member("nonce").is_string() && member("holder").is_string() && member("until").is_number_integer()) {
    claim = {
        .nonce = member("nonce").get<std::string>(),
        .holder = member("holder").get<std::string>(),
        .until = Time(seconds(member("until").get<std::int64_t>())),
        .level = member("level").is_number_integer() ? std::clamp(member("level").get<int>(), 0, kHighestLevel) : 0};
  }
  return claim;
}

}  // namespace

class TokenLedger::TokenHold final : public Ledger::Hold {
 public:
  TokenHold(MachineLock lock, TokenLedger& owner, std::string nonce, std::string client_id, int level)
      : lock_(std::move(lock)),
        owner_(owner),
        nonce_(std::move(nonce)),
        client_id_(std::move(client_id)),
        level_(level) {
    current_.client_id = client_id_;
  }
  ~TokenHold() override { static_cast<void>(owner_.Withdraw(client_id_, nonce_)); }
  TokenHold(const TokenHold&) = delete;
  TokenHold& operator=(const TokenHold&) = delete;

  // Reads what is there now that nobody else changes it.
  Status Read() {
    const auto data = owner_.token_.FindData(kLedgerObjects, client_id_);
    const auto kept = data ? owner_.Gather(*data) : std::unexpected(data.error());
    ASSIGN_OR_RETURN(const auto versions, kept ? kept->VersionsOf(client_id_) : std::unexpected(kept.error()));
    for (const auto& version : versions) {
      if (&version == &versions.front()) {
        current_ = *version.ledger;
      } else {
        older_.push_back((*data)[version.place].handle);
      }
    }
    return {};
  }

  const ClientLedger& current() const override { return current_; }
  std::int64_t next_version() const override { return current_.version + 1 + level_; }
  bool overtaken() const override { return overtaken_; }

  Status Commit(const ClientLedger& next) override {
    // Half the claim's life is left for the writing itself.
    if (steady_clock::now() - taken_ > kClaimLifetime / 2) {
      return Fail(Code::kAborted, "the change took too long: read the keys again and decide again");
    }
    if (auto standing = CheckStanding(); !standing) {
      return standing;
    }
    const auto text = owner_.seal_.Write(next);
    if (auto stored = text ? owner_.token_.StoreData(kLedgerObjects, client_id_, *text) : std::unexpected(text.error());
        !stored) {
      return stored;
    }
    if (auto standing = CheckStanding(); !standing) {
      overtaken_ = true;
      if (next.version > next_version()) {
        Take(*text);  // it may be higher than what the brake commits
      }
      return standing;
    }
    for (const auto handle : older_) {
      static_cast<void>(owner_.token_.DestroyObject(handle));  // what stays is removed by a later change
    }
    return {};
  }

 private:
  // Takes off what was stored.
  void Take(const std::string& text) {
    const auto data = owner_.token_.FindData(kLedgerObjects, client_id_);
    for (const auto& object : data.value_or(std::vector<TokenData>())) {
      if (object.is_private && object.value == text) {
        static_cast<void>(owner_.token_.DestroyObject(object.handle));
      }
    }
  }

  Status CheckStanding() {
    constexpr int kLooks = 3;  // an answer of the token that fails says nothing about the claim
    auto stands = owner_.Stands(client_id_, nonce_);
    for (int look = 1; !stands && look < kLooks; ++look) {
      stands = owner_.Stands(client_id_, nonce_);
    }
    if (!stands) {
      return std::unexpected(stands.error());
    }
    return *stands ? Status()
                   : Fail(Code::kAborted, "the emergency brake came in between for client '" + client_id_ +
                                              "': read its keys again and decide again");
  }

  const MachineLock lock_;  // holds nothing: a brake beside another process
  TokenLedger& owner_;
  const std::string nonce_;
  const std::string client_id_;
  const int level_;
  bool overtaken_ = false;
  const steady_clock::time_point taken_ = steady_clock::now();
  ClientLedger current_;
  std::vector<ObjectHandle> older_;
};

Result<std::unique_ptr<TokenLedger>> TokenLedger::Open(Token& token, std::string holder, Clock clock, Random random) {
  std::unique_ptr<TokenLedger> ledger(new TokenLedger(token, std::move(holder), std::move(clock), std::move(random)));
  const auto lock = MachineLock::TakeFor(token);
  ASSIGN_OR_RETURN(const auto claims, lock ? token.FindData(kClaimObjects, {}) : std::unexpected(lock.error()));
  for (const auto& claim : claims) {
    if (claim.is_private && ParseClaim(claim.value).holder == ledger->holder_) {
      RETURN_IF_ERROR(token.DestroyObject(claim.handle));
    }
  }
  return ledger;
}

// Makes other processes of this machine look again, once they are done (see the class).
void TokenLedger::Touch() {
  if (!owes_touch_) {
    return;
  }
  const auto lock = MachineLock::TakeFor(token_, {.longest = milliseconds(0)});
  constexpr std::string_view kTouch = "touch";  // no JSON: void as a claim
  if (!lock || !token_.FindData(kClaimObjects, kTouch) || !token_.StoreData(kClaimObjects, kTouch, kTouch)) {
    return;
  }
  owes_touch_ = false;
  if (const auto stored = token_.FindData(kClaimObjects, kTouch); stored) {
    for (const auto& object : *stored) {
      static_cast<void>(token_.DestroyObject(object.handle));
    }
  }
}

// Public objects count for nothing: any session makes and removes them, without a login.
Result<KeptLedgers> TokenLedger::Gather(const std::vector<TokenData>& data) {
  KeptLedgers kept;
  for (std::size_t place = 0; place < data.size(); ++place) {
    const auto& object = data[place];
    if (!object.is_private) {
      kept.AddStray(object.label, "it is a public object: anybody may have made it");
      continue;
    }
    ASSIGN_OR_RETURN(auto judged, seal_.Judge(object.value));
    kept.Add(place, object.label, std::move(judged));
  }
  return kept;
}

Result<LedgerContents> TokenLedger::Read() {
  Touch();
  const auto data = token_.FindData(kLedgerObjects, {});
  ASSIGN_OR_RETURN(const auto kept, data ? Gather(*data) : std::unexpected(data.error()));
  seal_.EndRound();
  return kept.Contents();
}

// Seals the newest of what is unsigned, all of it before any of it is removed.
Status TokenLedger::SealUnsigned(Takeover& done) {
  const auto lock = MachineLock::TakeFor(token_);
  const auto data = lock ? token_.FindData(kLedgerObjects, {}) : std::unexpected(lock.error());
  ASSIGN_OR_RETURN(const auto kept, data ? Gather(*data) : std::unexpected(data.error()));
  std::vector<ObjectHandle> obsolete;
  for (const auto& client_id : kept.clients()) {
    const auto versions = kept.VersionsOf(client_id);
    if (!versions) {
      done.left.emplace(client_id, versions.error());
      continue;
    }
    const auto before = obsolete.size();
    for (const auto& version : *versions) {
      if (!version.sealed()) {
        obsolete.push_back((*data)[version.place].handle);
      }
    }
    const auto& newest = versions->front();
    if (!newest.sealed()) {
      const auto text = seal_.Write(*newest.ledger);
      if (auto stored = text ? token_.StoreData(kLedgerObjects, client_id, *text) : std::unexpected(text.error());
          !stored) {
        return stored;
      }
    }
    if (obsolete.size() > before) {
      done.clients.push_back(client_id);
    }
  }
  for (const auto handle : obsolete) {
    if (auto destroyed = token_.DestroyObject(handle); !destroyed) {
      return destroyed;
    }
  }
  return {};
}

Result<Ledger::Takeover> TokenLedger::TakeOver() {
  // The first start on this token: nothing may be made there that the ledger could not name afterwards.
  const auto read = [this]() -> Result<LedgerContents> {
    RETURN_IF_ERROR(TryData(token_, kUsualLedgerOctets, random_));
    return Read();
  };
  return seal_.TakeOver(read, [this](Takeover& done) { return SealUnsigned(done); });
}

// Nothing when no other claim stands, else the highest of their levels. Of two that are stored before either looks,
// each sees the other.
Result<std::optional<int>> TokenLedger::Claim(const std::string& client_id, const std::string& nonce, int level) {
  const auto now = clock_();
  if (const auto stored = token_.StoreData(
          kClaimObjects, client_id,
          ToJson(ClaimText{.nonce = nonce, .holder = holder_, .until = now + kClaimLifetime, .level = level}));
      !stored) {
    return std::unexpected(stored.error());
  }
  ASSIGN_OR_RETURN(const auto claims, token_.FindData(kClaimObjects, client_id));
  std::optional<int> highest;
  const MutexLock lock(mutex_);
  auto& over = over_[client_id];
  std::set<std::string> left;
  for (const auto& object : claims) {
    const auto claim = ParseClaim(object.value);
    if (!object.is_private || claim.nonce == nonce) {
      continue;
    }
    if (over.contains(claim.nonce)) {
      left.insert(claim.nonce);
    } else if (claim.until >= now) {
      highest = std::max(highest.value_or(0), claim.level);
      continue;
    }
    static_cast<void>(token_.DestroyObject(object.handle));
  }
  over = std::move(left);
  return highest;
}

// From now on nobody else's claim on the client stands. Where the token keeps one, its holder's commit is still
// outranked (see the class), and the brake matters more than what that holder then believes.
Status TokenLedger::RemoveOtherClaims(const std::string& client_id, const std::string& nonce) {
  ASSIGN_OR_RETURN(const auto claims, token_.FindData(kClaimObjects, client_id));
  for (const auto& object : claims) {
    if (object.is_private && ParseClaim(object.value).nonce != nonce) {
      static_cast<void>(token_.DestroyObject(object.handle));
    }
  }
  return {};
}

Result<bool> TokenLedger::Stands(const std::string& client_id, const std::string& nonce) {
  ASSIGN_OR_RETURN(const auto claims, token_.FindData(kClaimObjects, client_id));
  return std::ranges::any_of(
      claims, [&](const auto& object) { return object.is_private && ParseClaim(object.value).nonce == nonce; });
}

// Void from now on for this process, whatever the token does, or says that it did.
Status TokenLedger::Withdraw(const std::string& client_id, const std::string& nonce) {
  {
    const MutexLock lock(mutex_);
    over_[client_id].insert(nonce);
  }
  ASSIGN_OR_RETURN(const auto claims, token_.FindData(kClaimObjects, client_id));
  for (const auto& object : claims) {
    if (object.is_private && ParseClaim(object.value).nonce == nonce) {
      return token_.DestroyObject(object.handle);
    }
  }
  return {};
}

Result<std::unique_ptr<Ledger::Hold>> TokenLedger::Take(const std::string& client_id, const Patience& patience) {
  RETURN_IF_ERROR(TakeOver());
  const auto deadline = steady_clock::now() + patience.longest;
  auto taken = MachineLock::TakeFor(token_, patience);
  if (!taken && !patience.takes_over) {
    return std::unexpected(taken.error());
  }
  owes_touch_ = owes_touch_ || !taken;
  auto lock = std::move(taken).value_or(MachineLock());
  // Before anything is stored: see the class.
  RETURN_IF_ERROR(token_.FindData(kClaimObjects, client_id));
  int level = 0;
  while (true) {
    ASSIGN_OR_RETURN(const auto id, RandomId(random_));
    auto nonce = Hex(id);
    const auto rival = Claim(client_id, nonce, level);
    if (rival && !*rival) {
      return Held(std::move(lock), client_id, std::move(nonce), level);
    }
    if (rival && **rival < level) {
      auto hold = std::make_unique<TokenHold>(std::move(lock), *this, nonce, client_id, level);
      const auto over = RemoveOtherClaims(client_id, nonce);
      const auto read = over ? hold->Read() : over;
      return read ? Result<std::unique_ptr<Hold>>(std::move(hold)) : std::unexpected(read.error());
    }
    const auto withdrawn = Withdraw(client_id, nonce);
    if (!rival || !withdrawn) {
      return std::unexpected(rival ? withdrawn.error() : rival.error());
    }
    const auto now = steady_clock::now();
    if (now >= deadline && (!patience.takes_over || **rival >= kHighestLevel)) {
      return Fail(Code::kAborted, "another administrator is changing the keys of client '" + client_id +
                                      "': read them again and decide again");
    }
    if (now >= deadline) {
      level = **rival + 1;
      continue;
    }
    std::this_thread::sleep_for(std::min<steady_clock::duration>(kLongestPause * (id[0] + 1) / 256, deadline - now));
  }
}

Result<std::unique_ptr<Ledger::Hold>> TokenLedger::Held(MachineLock lock, const std::string& client_id,
                                                        std::string nonce, int level) {
  auto hold = std::make_unique<TokenHold>(std::move(lock), *this, std::move(nonce), client_id, level);
  RETURN_IF_ERROR(hold->Read());
  return hold;
}

}  // namespace assertion
