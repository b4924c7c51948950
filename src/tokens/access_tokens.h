#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/random.h"
#include "assertion/secret.h"
#include "tokens/purchase_line.h"

namespace assertion::tokens {

using Instant = std::chrono::steady_clock::time_point;

// The use of one access token. All callers with the same use share it.
struct Wanted {
  std::string client_id;
  std::string scope;     // vetted; each scope once, in order, with one blank between two
  std::string resource;  // RFC 8707; empty: none
  std::string kid = {};  // of the key that the token is bound to (RFC 9449 section 6); empty: a bearer token

  bool IsBound() const { return !kid.empty(); }
  friend auto operator<=>(const Wanted&, const Wanted&) = default;
};

// The identity server's answer.
struct Bought {
  Secret token;
  std::string type;   // token_type
  std::string scope;  // granted
  std::chrono::seconds lifetime{};
  PurchaseLinePtr line = {};
  std::optional<Instant> asked = {};  // when its request was sent; unset: when it was ordered
};

// Why there is no token.
struct Refusal {
  Error error;
  bool of_client = false;       // holds for whatever the client asks for, not for `Wanted` alone
  bool by_credentials = false;  // repeating it may lock the client: the pause grows
  bool queue_full = false;      // too much is being bought already: the identity server was not asked
  std::optional<std::chrono::milliseconds> retry_after = {};  // the identity server's
};

// SHA-256, base64url.
std::string DigestOf(const Secret& token);

using Purchase = std::expected<Bought, Refusal>;

// An access token in memory, which is wiped when the last holder lets go. It must not leave before `line` is durable.
struct AccessToken {
  Secret value;
  std::string type;
  std::string scope;
  std::string digest;  // SHA-256, base64url: all that a log may say
  std::chrono::seconds lifetime{};
  Instant expires;  // a whole second of the wall clock, so that the instant that callers read is this one
  PurchaseLinePtr line;
};
using AccessTokenPtr = std::shared_ptr<const AccessToken>;

// How a purchase ended.
enum class Outcome : std::uint8_t { kGranted, kRefused, kLimited, kFailed, kQueueFull };
inline constexpr std::array kOutcomes = {"granted", "refused", "limited", "failed", "queue_full"};  // names, in order

// What monitoring may know of a client's tokens.
struct Figures {
  std::array<std::uint64_t, kOutcomes.size()> purchases{};  // by Outcome
  std::uint64_t handed_out = 0;
  std::uint64_t without_place = 0;         // asks refused because too many tokens are in use or too many calls wait
  std::size_t held = 0;                    // tokens in memory
  std::chrono::milliseconds oldest{};      // the age of the oldest of them
  std::chrono::milliseconds pause_left{};  // until purchases for the client go on; 0: they do
};

// The access tokens of all clients. Asks the identity server once for all that want the same at the same time, keeps
// the answer while it is valid long enough, and replaces it ahead of its expiry while it is in use. A failed purchase
// starts a pause; a token that is still valid is handed out meanwhile. All methods may be called from any thread.
class AccessTokens {
 public:
  static constexpr std::chrono::seconds kProbe{1};          // the shortest pause after a failure
  static constexpr std::chrono::seconds kLongestPause{60};  // that a refused credential grows to
  static constexpr std::chrono::hours kMostRetryAfter{1};   // believed of an identity server

  using Done = std::move_only_function<void(Result<AccessTokenPtr>)>;
  using Receive = std::move_only_function<void(Purchase)>;
  using IsUnwanted = std::function<bool()>;

  struct Options {
    std::function<Instant()> now = std::chrono::steady_clock::now;
    std::function<std::chrono::system_clock::time_point()> wall = std::chrono::system_clock::now;
    Random random;
    // Starts a purchase and returns. `receive` is called exactly once, on any thread, also before the return. A
    // purchase that has to wait asks `is_unwanted` first: true if all have left, or a reload dropped it. It is then
    // over, and `receive` is not called.
    std::function<void(const Wanted& wanted, Receive receive, IsUnwanted is_unwanted)> buy;
    // Called when purchases for the client begin to fail, fail for another reason, and succeed again.
    std::function<void(const std::string& client_id, const Status& state)> changed;
    // Of all clients. One client gets an eighth of each, so that its callers cannot shut out those of others.
    std::size_t most_tokens = 10'000;
    std::size_t most_waiters = 10'000;
    std::size_t most_octets = std::size_t{32} << 20U;  // of the tokens
  };
  static constexpr std::size_t kClientShare = 8;

  struct Ask {
    std::string caller = {};  // whose failed purchase gives way to another caller's
    std::chrono::seconds minimum_validity{30};
    Instant deadline;
    std::function<bool()> gone = {};  // true: the asker left
  };

  explicit AccessTokens(Options options);

  // Calls `done` once: at once if a token is there, else when the purchase ends or the deadline passes. Null: Forget
  // dropped the purchase; ask again by the configuration in force. RESOURCE_EXHAUSTED or UNAVAILABLE with retry_delay:
  // purchases pause. FAILED_PRECONDITION: the identity server's tokens are too short for the asker.
  void Get(const Wanted& wanted, Ask ask, Done done);

  // Counts a token that `done` got and that leaves: who got it may still refuse the caller.
  void CountHandOut(const std::string& client_id);

  // Ends the asks whose deadline has passed or whose asker left, and drops tokens that expired or whose purchase the
  // audit log does not hold; a token that such a one replaced serves on. Call it every 250 ms.
  void Sweep();

  // Drops tokens and pauses of the clients for which `changed` is true, and ends their asks without a token. Drops the
  // figures of those for which `removed` is true, too.
  using IsOne = std::function<bool(const std::string& client_id)>;
  void Forget(const IsOne& changed, const IsOne& removed);

  // Ends all asks, and all later ones: UNAVAILABLE, as the server stops.
  void Close();

  std::size_t size() const;

  // By client id: all that asked since the start and were not removed.
  std::map<std::string, Figures> Read() const;

 private:
  struct Waiter {
    Ask ask;
    Done done;
  };
  struct Pause {
    std::optional<Error> error;
    Instant until;
    int failures = 0;          // of credentials, in a row
    std::string caller = {};   // who asked for the purchase that failed, or for the probe that runs
    bool turned_away = false;  // another caller was refused meanwhile: that one comes first afterwards
  };
  struct Entry {
    AccessTokenPtr token;
    AccessTokenPtr before;                  // what `token` replaced, until the audit log holds the purchase of `token`
    std::int64_t jitter = 0;                // of the renewal of `token`, in thousandths
    std::chrono::milliseconds took{};       // by the request for `token`
    std::chrono::milliseconds waited{};     // from the order of `token` on
    std::chrono::seconds longest{};         // minimum validity of an ask that got a token, since `longest_since`
    std::chrono::seconds longest_before{};  // the same, of the life of a token before that
    Instant longest_since;
    std::uint64_t purchase = 0;  // the running one; 0: none
    std::string buyer;           // the caller who had it begin
    std::vector<Waiter> waiters;
    Pause pause;

    bool idle() const { return token == nullptr && purchase == 0 && waiters.empty(); }
  };
  struct Client {
    Figures counted;                // what only grows; Read adds the rest
    std::multiset<Instant> bought;  // when the tokens in memory were
    std::size_t entries = 0;
    std::size_t waiting = 0;
    std::size_t octets = 0;  // of the tokens in memory
    Instant cleared;         // when a place was looked for last
    Instant compared;        // when tokens of replaced keys were looked for last
  };
  // Calls that are made once the lock is released.
  using Calls = std::vector<std::move_only_function<void()>>;

  using Entries = std::map<Wanted, Entry>;

  Result<Entry*> FindOrAdd(const Wanted& wanted, Instant now) REQUIRES(mutex_);
  Status FindPlace(const std::string& client_id, Client& client, Instant now) REQUIRES(mutex_);
  Status FindOctets(Client& client, std::size_t more) REQUIRES(mutex_);
  static Status NoPlace(Client& client, const char* why);
  void DropPausing(Entries::iterator one, const std::string* client_id) REQUIRES(mutex_);
  void DropReplaced(const Wanted& wanted, Client& client, Instant now) REQUIRES(mutex_);
  Entries::iterator Erase(Entries::iterator one) REQUIRES(mutex_);
  Status Wait(const std::string& client_id, Entry& entry, Ask& ask, Done& done) REQUIRES(mutex_);
  void EndWaiting(const std::string& client_id, std::size_t count) REQUIRES(mutex_);
  void End(const IsOne& changed, const IsOne& removed, const Result<AccessTokenPtr>& outcome);
  std::optional<Error> PauseOf(const Wanted& wanted, const Entry& entry, const std::string& caller, Instant now) const
      REQUIRES(mutex_);
  Result<AccessTokenPtr> Held(const Wanted& wanted, const Entry& entry, const Ask& ask, Instant now) const
      REQUIRES(mutex_);
  static std::chrono::seconds LongestValidity(const Entry& entry);
  static Instant RenewAt(const Entry& entry);
  static void NoteHad(Entry& entry, std::chrono::seconds minimum_validity, Instant now);
  void NoteTurnedAway(const std::string& client_id, const std::string& caller) REQUIRES(mutex_);
  void Begin(const Wanted& wanted, Entry& entry, const std::string& caller, Instant now, Calls& calls) REQUIRES(mutex_);
  void DropUnrecorded(const Wanted& wanted, Entry& entry, Instant now, Calls& calls) REQUIRES(mutex_);
  void DropExpired(Instant now) REQUIRES(mutex_);
  bool EndIfUnwanted(const Wanted& wanted, std::uint64_t purchase);
  void Finish(const Wanted& wanted, std::uint64_t purchase, Instant ordered, Purchase bought);
  void Keep(const Wanted& wanted, Entry& entry, Instant ordered, Bought bought) REQUIRES(mutex_);
  void Put(const std::string& client_id, AccessTokenPtr& place, AccessTokenPtr token) REQUIRES(mutex_);
  void Clear(const std::string& client_id, Entry& entry) REQUIRES(mutex_);
  Instant ToldExpiry(Instant expires) const;
  void Note(const Wanted& wanted, Entry& entry, const Refusal& refusal, Instant now, Calls& calls) REQUIRES(mutex_);
  std::int64_t Jitter() const;

  const Options options_;
  mutable Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
  std::map<std::string, Client> clients_ GUARDED_BY(mutex_);
  std::map<std::string, Pause> pauses_ GUARDED_BY(mutex_);         // of whole clients
  std::map<std::string, std::string> failing_ GUARDED_BY(mutex_);  // why the last purchase failed, by client
  bool closed_ GUARDED_BY(mutex_) = false;
  std::size_t waiting_ GUARDED_BY(mutex_) = 0;
  std::size_t octets_ GUARDED_BY(mutex_) = 0;  // of all tokens in memory
  Instant cleared_ GUARDED_BY(mutex_);         // when a place was looked for among all clients
  std::uint64_t purchases_ GUARDED_BY(mutex_) = 0;
};

}  // namespace assertion::tokens
