#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/clients.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_record.h"
#include "assertion/mutex.h"
#include "assertion/random.h"
#include "assertion/signing_input.h"
#include "assertion/token.h"
#include "keys/client_keys.h"
#include "keys/inventory.h"
#include "keys/ledger.h"
#include "keys/signing_key.h"
#include "keys/stray.h"

namespace assertion {

// Which keys exist and what each may do now: what the ledger says, once the token has shown the keys to be fit and to
// be there. Readers take a snapshot and never wait for an administrator. A key belongs to the client whose id is its
// CKA_LABEL; a key of that label that is in no ledger is not used.
//
// What is wrong with a key on the token is that key's flaw, and stops nobody else. A key with a flaw does not sign and
// is not published, except one that was well before and is not found any more: the HSM then says so at each call.
//
// With Binding::kJwks any server's JWK Set may be what a verifier knows, so a ring that could not be read counts for
// three quarters of publish_lead: after that nothing is signed by it and its JWK Set is not given out. The last quarter
// is for a ledger that was written late. One that was written later than that shows as a key that comes too close to
// its sign_from: the ring then holds it back until no older JWK Set is in use.
//
// The ring of a second HSM has `originals`, the ring of the first. Of a client with Binding::kCertificate it holds
// copies: the identity server knows one key, so the schedule is the original's alone, and what the vendor's means have
// brought to this token counts once its public key is the original's, it is fit to sign, and it has signed.
class KeyRing {
 public:
  // Reads and proves the keys of all clients. Fails only when the ledger or the token cannot be read; what is wrong
  // with a key is among its client's ScheduledKeys. `token`, `ledger` and `originals` must outlive the ring.
  static Result<std::unique_ptr<KeyRing>> Load(Token& token, Ledger& ledger, Clients clients, Clock clock,
                                               Random random, const KeyRing* originals = nullptr);

  // Takes over what others changed. On an error the keys that could not be looked at stay as they are.
  Status Refresh();

  // The same, unless another refresh is not over within that time: then KeepFresh repeats it, and this says OK.
  Status RefreshWithin(std::chrono::milliseconds patience);

  // Serves these clients from now on, or, on an error as of Load, those of before.
  Status Reconfigure(Clients clients);

  // Serves these clients from the next refresh on that reaches the token: for a token that does not answer now.
  void ReconfigureAtNextRefresh(Clients clients);

  // From now on a client's ledger counts only from the version on that was seen before this process began (by client
  // id): one that is older by now signs no more. Tells `seen` which version is in use, now and whenever that changes,
  // on any thread.
  using OnVersion = std::function<void(const ClientLedger& seen)>;
  void Remember(std::map<std::string, std::int64_t, std::less<>> floor, OnVersion seen);

  // A client's newest ledger, when a later one was seen, by this process or before it. It does not count until a change
  // accepts it (KeyCustodian::AcceptLedger).
  struct OlderLedger {
    std::int64_t found = 0;  // 0: there is none any more
    std::int64_t seen = 0;
  };
  using OlderLedgers = std::map<std::string, OlderLedger, std::less<>>;  // by client id
  std::shared_ptr<const OlderLedgers> RolledBack() const { return rolled_back_.load(); }

  // The highest version of the client's ledger that was seen, by this process or before it; 0: none. Does not wait for
  // a refresh.
  std::int64_t SeenVersionOf(std::string_view client_id) const;

  // From now on the key counts as withdrawn, as the ledger says already: the next refresh may be long, or wait for a
  // token that does not answer.
  void Withdraw(std::string_view client_id, std::string_view kid);

  // Refreshes after each interval, after RepeatRefresh, and sooner while a key did not make a good signature, until the
  // ring is gone. Reports how each refresh went.
  void KeepFresh(std::chrono::milliseconds interval, std::function<void(const Status&)> refreshed);
  // Has KeepFresh refresh at once if it has refreshed since then: while the token was failing it may have found keys
  // unfit that are fit.
  void RepeatRefresh(std::chrono::steady_clock::time_point since);
  void StopRefreshing() { refresher_ = {}; }

  // The key that signs now. FAILED_PRECONDITION when the client has none, it has a flaw, or its certificate has expired
  // and the client's binding does not allow for that.
  Result<SigningKeyPtr> SigningKeyOf(std::string_view client_id) const;

  // What the client's key waits for before it can sign, for example "a certificate that has not expired". Empty:
  // nothing, or it signs no more.
  std::string WaitsFor(std::string_view client_id, const ScheduledKey& entry) const;

  // The same of the key that signs now, by client id; without those clients whose key waits for nothing.
  std::map<std::string, std::string, std::less<>> WaitingClients() const;

  // True if the key may have signed what is released now: it may sign no more, but is not withdrawn.
  bool IsGood(const SigningKey& key) const;

  // NOT_FOUND when the client has no such key. An empty kid: the one that signs now, FAILED_PRECONDITION if there is
  // none.
  Result<ScheduledKey> Find(std::string_view client_id, std::string_view kid) const;

  // The text that a key signs to prove itself: fresh random octets.
  Result<SigningInput> ProofInput() const;

  // The keys that sign now, one for each client that has one.
  std::vector<SigningKeyPtr> SigningKeys() const;

  // The version of the client's keys; 0 when it has none.
  std::int64_t VersionOf(std::string_view client_id) const;

  std::shared_ptr<const KeySet> Snapshot() const { return keys_.load(); }

  // Until when what the ring knows of the client's keys counts; time_point::max(): until they are read again.
  std::chrono::steady_clock::time_point CountsUntil(std::string_view client_id) const;

  // Why clients have no ledger that counts, by client id, at the last refresh. It stops them alone.
  using LedgerErrors = std::map<std::string, Error, std::less<>>;
  std::shared_ptr<const LedgerErrors> BrokenLedgers() const { return broken_ledgers_.load(); }

  // Whether a key or a ledger that should be on the token was not found at the last refresh, or a key was found twice.
  // Some modules go on saying so after it is back, until they are reloaded.
  bool LacksObjects() const { return lacks_objects_; }

  // From now on the absence of this private key of assertiond itself counts as a missing object, as that of each ledger
  // key does that was seen.
  void Need(std::string_view label, Bytes id);

  // Those that were not found at the last refresh, as text: the label and the CKA_ID.
  std::shared_ptr<const std::vector<std::string>> MissingOwnKeys() const { return missing_own_keys_.load(); }

  // How many keys the ledgers of clients have that are not configured, by client id, at the last refresh.
  using LeftKeys = std::map<std::string, std::size_t, std::less<>>;
  std::shared_ptr<const LeftKeys> KeysLeftBehind() const { return left_keys_.load(); }

  // Objects that looked like ledgers at the last refresh and are none.
  std::shared_ptr<const std::vector<StrayText>> StrayLedgers() const { return stray_ledgers_.load(); }

  // What KeepFresh found twice on the token under names of ours: an object found once may belong to a change under way.
  std::shared_ptr<const std::vector<Stray>> Strays() const { return strays_.load(); }
  // Nothing when it is not configured.
  std::optional<Client> FindClient(std::string_view client_id) const;
  Clients clients() const { return *clients_.load(); }

  // True if this ring's keys of the client are copies of another's.
  bool HasCopiesOf(const Client& client) const {
    return originals_ != nullptr && client.binding == Binding::kCertificate;
  }

  Time Now() const { return clock_(); }

 private:
  KeyRing(Token& token, Ledger& ledger, Clients clients, Clock clock, Random random, const KeyRing* originals)
      : token_(token),
        ledger_(ledger),
        originals_(originals),
        clients_(std::make_shared<const Clients>(std::move(clients))),
        clock_(std::move(clock)),
        random_(std::move(random)) {}

  struct Refreshed;

  std::map<std::string, std::int64_t, std::less<>> Floor() const;
  Status RefreshNow() REQUIRES(refreshing_);
  Status Update(const Clients& clients, bool whole) REQUIRES(refreshing_);
  Result<LedgerContents> ReadLedgers(OlderLedgers& rolled_back) const REQUIRES(refreshing_);
  void Compare(const Client& client, const Inventory& inventory, bool whole, Refreshed& refreshed) const;
  Status ReadStale(bool whole, Refreshed& refreshed) const;
  bool WithdrawIn(KeySet& keys, const std::pair<std::string, std::string>& client_and_kid) const;
  void Adopt(const Ledgers& ledgers, const OlderLedgers& rolled_back, std::shared_ptr<KeySet> keys)
      REQUIRES(refreshing_);
  std::optional<Error> WhyNoLedger(std::string_view client_id) const;
  void LookForOwnKeys(const std::vector<ListedObject>& listed) REQUIRES(refreshing_);
  void ReportVersions(const Ledgers& ledgers, const KeySet& keys) REQUIRES(refreshing_);
  void FindStraysTwice();
  std::chrono::milliseconds NextPause(std::chrono::milliseconds interval, std::chrono::milliseconds& retry) const;
  bool WaitUntilDue(const std::stop_token& stop, std::chrono::milliseconds interval);
  const ScheduledKey* SigningAt(std::string_view client_id, const ClientKeys& keys, Time now) const;

  Token& token_;
  Ledger& ledger_;
  const KeyRing* const originals_;
  std::atomic<std::shared_ptr<const Clients>> clients_;
  const Clock clock_;
  const Random random_;
  std::atomic<bool> lacks_objects_ = false;
  std::atomic<std::shared_ptr<const LedgerErrors>> broken_ledgers_{std::make_shared<const LedgerErrors>()};
  std::atomic<std::shared_ptr<const OlderLedgers>> rolled_back_{std::make_shared<const OlderLedgers>()};
  std::atomic<std::shared_ptr<const LeftKeys>> left_keys_{std::make_shared<const LeftKeys>()};
  std::atomic<std::shared_ptr<const std::vector<std::string>>> missing_own_keys_{
      std::make_shared<const std::vector<std::string>>()};
  mutable Mutex refreshing_;
  std::map<Bytes, std::string> own_keys_ GUARDED_BY(refreshing_);  // needed: the label by CKA_ID
  mutable Mutex floor_mutex_;                                      // held for a moment
  std::map<std::string, std::int64_t, std::less<>> floor_ GUARDED_BY(floor_mutex_);
  Mutex adopting_;  // taken after refreshing_, held for a moment
  std::set<std::pair<std::string, std::string>> withdrawn_ GUARDED_BY(adopting_);  // client id, kid: see Withdraw
  std::map<std::string, std::int64_t, std::less<>> reported_ GUARDED_BY(refreshing_);
  OnVersion seen_ GUARDED_BY(refreshing_);
  std::size_t inventory_ GUARDED_BY(refreshing_) = 0;  // changes with the objects on the token
  std::atomic<std::shared_ptr<const KeySet>> keys_{std::make_shared<const KeySet>()};
  std::atomic<std::shared_ptr<const std::vector<StrayText>>> stray_ledgers_{
      std::make_shared<const std::vector<StrayText>>()};
  std::atomic<std::shared_ptr<const std::vector<Stray>>> strays_{std::make_shared<const std::vector<Stray>>()};
  std::vector<Stray> seen_once_;                   // KeepFresh's thread alone, like the next member
  std::pair<std::size_t, std::size_t> looked_at_;  // inventory and ledgers at the last search for strays
  Mutex waiting_;
  std::condition_variable_any woken_;
  bool due_ GUARDED_BY(waiting_) = false;
  bool refreshes_ GUARDED_BY(waiting_) = false;                              // KeepFresh, now
  std::chrono::steady_clock::time_point refreshed_at_ GUARDED_BY(waiting_);  // by KeepFresh
  std::jthread refresher_;                                                   // ends first
};

}  // namespace assertion
