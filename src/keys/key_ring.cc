#include "keys/key_ring.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "assertion/client.h"
#include "keys/inventory.h"
#include "keys/key_reading.h"
#include "keys/proof.h"

namespace assertion {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{250};

template <typename Map>
const typename Map::mapped_type& Get(const Map& map, const std::string& key,
                                     const typename Map::mapped_type& otherwise) {
  const auto found = map.find(key);
  return found == map.end() ? otherwise : found->second;
}

// True if a ledger is missing that was there before.
bool LacksLedger(const KeyRing::OlderLedgers& ledgers) {
  return std::ranges::any_of(ledgers, [](const auto& client) { return client.second.found == 0; });
}

std::unexpected<Error> Flawed(std::string_view client_id, const Error& flaw) {
  return Fail(Code::kFailedPrecondition,
              "client '" + std::string(client_id) + "' cannot sign: " + flaw.message + ": see assertionctl doctor");
}

bool HasExpired(const SigningKey& key, Time now) { return !key.chain.empty() && key.chain.front().not_after < now; }

// What the key waits for before it can sign; empty: nothing, or it signs no more.
std::string WhatLacks(const Client& client, const ScheduledKey& entry, Time now) {
  if (!entry.key || entry.record.sign_until <= now) {
    return "";
  }
  if (entry.flaw) {  // it was well before
    return "its return: " + entry.flaw->message;
  }
  return HasExpired(*entry.key, now) && !client.sign_with_expired_certificate ? "a certificate that has not expired"
                                                                              : WaitsFor(*entry.key, client.profile);
}

// `configured`: has the keys of clients that are configured, perhaps not of all.
KeyRing::LeftKeys LeftBehind(const Ledgers& ledgers, const KeySet& configured, const Clients& clients) {
  KeyRing::LeftKeys left;
  for (const auto& [client_id, ledger] : ledgers) {
    if (!ledger.keys.empty() && !configured.contains(client_id) && clients.Find(client_id) == nullptr) {
      left.emplace(client_id, ledger.keys.size());
    }
  }
  return left;
}

bool IsOutdated(const ClientKeys& keys) { return keys.counts_until <= std::chrono::steady_clock::now(); }

std::unexpected<Error> Outdated(std::string_view client_id) {
  return Fail(Code::kUnavailable, "the HSM is not available; try again",
              "the keys of client '" + std::string(client_id) + "' could not be read for most of publish_lead");
}

std::unexpected<Error> NoSigningKey(std::string_view client_id) {
  return Fail(Code::kFailedPrecondition, "client '" + std::string(client_id) +
                                             "' has no key that signs now: assertionctl key generate --client-id " +
                                             std::string(client_id));
}

// The keys as they were known, but for those that sign no more by the ledger as it is now.
ClientKeys WithoutWithdrawn(ClientKeys known, const ClientLedger& ledger, Time now) {
  if (known.copies) {  // they follow the original's schedule
    return known;
  }
  std::erase_if(known.keys, [&](ScheduledKey& key) {
    const auto record = std::ranges::find(ledger.keys, key.record.kid, &KeyRecord::kid);
    if (record != ledger.keys.end() && record->StateAt(now) == KeyState::kWithdrawn) {
      key.record = *record;
    }
    return record == ledger.keys.end();
  });
  return known;
}

// Whatever their handles, which are others after the module was loaded again.
bool AreOneObject(const Stray& one, Stray other) {
  other.handle = one.handle;
  return one == other;
}

}  // namespace

Result<std::unique_ptr<KeyRing>> KeyRing::Load(Token& token, Ledger& ledger, Clients clients, Clock clock,
                                               Random random, const KeyRing* originals) {
  std::unique_ptr<KeyRing> ring(
      new KeyRing(token, ledger, std::move(clients), std::move(clock), std::move(random), originals));
  constexpr int kLooks = 3;
  auto loaded = ring->Refresh();
  for (int look = 1;
       look < kLooks && (loaded ? LacksKey(*ring->keys_.load()) : loaded.error().code == Code::kLedgerUnusable);
       ++look) {
    loaded = ring->Refresh();
  }
  // A ledger that cannot be used stops its client alone.
  if (!loaded && (loaded.error().code != Code::kLedgerUnusable || ring->broken_ledgers_.load()->empty())) {
    return std::unexpected(loaded.error());
  }
  return ring;
}

std::map<std::string, std::int64_t, std::less<>> KeyRing::Floor() const {
  const MutexLock lock(floor_mutex_);
  return floor_;
}

// The ledgers as they are at least as new as what was seen. A look at the token may miss a version that has just come.
// `rolled_back`: the clients whose newest ledger is older than that; their keys as they were known stay in use.
Result<LedgerContents> KeyRing::ReadLedgers(OlderLedgers& rolled_back) const {
  constexpr int kLooks = 5;
  auto seen = Floor();
  for (const auto known = keys_.load(); const auto& [client_id, keys] : *known) {
    if (!keys.copies) {
      seen[client_id] = std::max(seen[client_id], keys.version);
    }
  }
  auto contents = ledger_.Read();
  for (int look = 1; contents; ++look) {
    OlderLedgers older;
    for (const auto& [client_id, least] : seen) {
      const auto found = contents->ledgers.find(client_id);
      const auto version = found == contents->ledgers.end() ? 0 : found->second.version;
      if (version < least && !contents->errors.contains(client_id)) {
        older.emplace(client_id, OlderLedger{.found = version, .seen = least});
      }
    }
    if (older.empty() || look == kLooks) {
      for (const auto& [client_id, versions] : older) {
        contents->errors.emplace(client_id, TooOld(client_id, versions.found, versions.seen));
      }
      rolled_back = std::move(older);
      return contents;
    }
    contents = ledger_.Read();
  }
  return contents;
}

void KeyRing::Remember(std::map<std::string, std::int64_t, std::less<>> floor, OnVersion seen) {
  const MutexLock lock(refreshing_);
  seen_ = std::move(seen);
  auto kept = std::make_shared<KeySet>(*keys_.load());
  for (auto& [client_id, keys] : *kept) {
    const auto least = floor.find(client_id);
    if (!keys.copies && least != floor.end() && keys.version < least->second) {
      keys = {};
    }
  }
  {
    const MutexLock floor_lock(floor_mutex_);
    floor_ = std::move(floor);
  }
  keys_.store(std::move(kept));
  static_cast<void>(Update(*clients_.load(), /*whole=*/false));  // the next refresh says what is wrong
}

std::int64_t KeyRing::SeenVersionOf(std::string_view client_id) const {
  const MutexLock lock(floor_mutex_);
  const auto found = floor_.find(client_id);
  return std::max(found == floor_.end() ? 0 : found->second, VersionOf(client_id));
}

// Each version once.
void KeyRing::ReportVersions(const Ledgers& ledgers, const KeySet& keys) {
  for (const auto& [client_id, client] : keys) {
    const auto ledger = ledgers.find(client_id);
    if (!seen_ || client.copies || ledger == ledgers.end() || ledger->second.version != client.version) {
      continue;
    }
    auto& reported = reported_[client_id];
    if (reported < client.version) {
      reported = client.version;
      seen_(ledger->second);
    }
  }
}

Status KeyRing::Refresh() {
  const MutexLock lock(refreshing_);
  return RefreshNow();
}

Status KeyRing::RefreshNow() {
  if (originals_ != nullptr) {
    clients_.store(originals_->clients_.load());  // an HSM that was being attached at a reload has missed it
  }
  return Update(*clients_.load(), /*whole=*/false);
}

Status KeyRing::RefreshWithin(std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds kPause{10};
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!refreshing_.try_lock()) {
    if (std::chrono::steady_clock::now() >= end) {
      RepeatRefresh({});
      return {};
    }
    std::this_thread::sleep_for(kPause);
  }
  auto status = RefreshNow();
  refreshing_.unlock();
  return status;
}

Status KeyRing::Reconfigure(Clients clients) {
  const MutexLock lock(refreshing_);
  const auto next = std::make_shared<const Clients>(std::move(clients));
  auto updated = Update(*next, /*whole=*/true);
  if (updated) {
    clients_.store(next);
  }
  return updated;
}

void KeyRing::ReconfigureAtNextRefresh(Clients clients) {
  const MutexLock lock(refreshing_);
  clients_.store(std::make_shared<const Clients>(std::move(clients)));
}

// Withdraws the key in `keys`. True: it is not there, or was withdrawn there already.
bool KeyRing::WithdrawIn(KeySet& keys, const std::pair<std::string, std::string>& client_and_kid) const {
  const auto client = keys.find(client_and_kid.first);
  if (client == keys.end()) {
    return true;
  }
  auto& entries = client->second.keys;
  const auto entry = std::ranges::find(entries, client_and_kid.second, [](const auto& one) { return one.record.kid; });
  const auto now = clock_();
  if (entry == entries.end() || entry->record.StateAt(now) == KeyState::kWithdrawn) {
    return true;
  }
  assertion::Withdraw(entry->record, now);
  return false;
}

void KeyRing::Withdraw(std::string_view client_id, std::string_view kid) {
  const MutexLock lock(adopting_);
  const auto withdrawn = withdrawn_.emplace(client_id, kid).first;
  auto keys = std::make_shared<KeySet>(*keys_.load());
  WithdrawIn(*keys, *withdrawn);
  keys_.store(std::move(keys));
}

// A refresh that read the ledgers before a key was withdrawn does not bring it back.
void KeyRing::Adopt(const Ledgers& ledgers, const OlderLedgers& rolled_back, std::shared_ptr<KeySet> keys) {
  ReportVersions(ledgers, *keys);
  lacks_objects_ = LacksLedger(rolled_back) || LacksKey(*keys) || !missing_own_keys_.load()->empty();
  const MutexLock lock(adopting_);
  std::erase_if(withdrawn_, [&](const auto& client_and_kid) { return WithdrawIn(*keys, client_and_kid); });
  keys_.store(std::move(keys));
}

void KeyRing::Need(std::string_view label, Bytes id) {
  const MutexLock lock(refreshing_);
  std::erase_if(own_keys_, [&](const auto& key) { return key.second == label && label != kLedgerKeyLabel; });
  own_keys_.emplace(std::move(id), label);
}

// Nobody but a token's own tool destroys such a key.
void KeyRing::LookForOwnKeys(const std::vector<ListedObject>& listed) {
  std::set<Bytes> present;
  for (const auto& object : listed) {
    if (object.kind == ObjectKind::kPrivateKey && object.is_private) {
      present.insert(object.id);
      if (object.label == kLedgerKeyLabel) {
        own_keys_.emplace(object.id, object.label);
      }
    }
  }
  std::vector<std::string> missing;
  for (const auto& [id, label] : own_keys_) {
    if (!present.contains(id)) {
      missing.push_back("'" + label + "' with CKA_ID " + Hex(id));
    }
  }
  missing_own_keys_.store(std::make_shared<const std::vector<std::string>>(std::move(missing)));
}

// The findings of a refresh before it reads keys from the token.
struct KeyRing::Refreshed {
  // A client whose keys have to be read.
  struct Stale {
    const Client& client;
    const ClientLedger& ledger;
    const ClientKeys* originals;  // null: the keys are this token's own
    std::size_t seen;             // see ClientKeys
  };

  LedgerContents ledgers;
  OlderLedgers rolled_back;
  std::shared_ptr<const KeySet> before;
  std::shared_ptr<const KeySet> originals;  // null without KeyRing::originals_
  std::shared_ptr<KeySet> after = std::make_shared<KeySet>();
  std::vector<Stale> stale;
  std::set<std::string_view> unread;  // clients whose keys could not be read
  Status status;
};

// `whole`: all clients are updated, or none.
Status KeyRing::Update(const Clients& clients, bool whole) {
  const auto began = std::chrono::steady_clock::now();
  Refreshed refreshed;
  ASSIGN_OR_RETURN(refreshed.ledgers, ReadLedgers(refreshed.rolled_back));
  stray_ledgers_.store(std::make_shared<const std::vector<StrayText>>(refreshed.ledgers.strays));
  broken_ledgers_.store(std::make_shared<const LedgerErrors>(refreshed.ledgers.errors));
  rolled_back_.store(std::make_shared<const OlderLedgers>(refreshed.rolled_back));
  ASSIGN_OR_RETURN(const auto listed, token_.List(kStrayApplications));
  const Inventory inventory(listed);
  inventory_ = inventory.all();
  LookForOwnKeys(listed);
  refreshed.before = keys_.load();
  refreshed.originals = originals_ == nullptr ? nullptr : originals_->Snapshot();
  for (const auto& client : clients) {
    Compare(client, inventory, whole, refreshed);
  }
  if (!refreshed.stale.empty()) {
    RETURN_IF_ERROR(ReadStale(whole, refreshed));
  }
  for (const auto& client : clients) {
    const auto keys = refreshed.after->find(client.client_id);
    if (keys != refreshed.after->end() && !refreshed.unread.contains(client.client_id)) {
      keys->second.counts_until = client.binding == Binding::kJwks ? began + LookCountsFor(client)
                                                                   : std::chrono::steady_clock::time_point::max();
    }
  }
  left_keys_.store(std::make_shared<const LeftKeys>(LeftBehind(refreshed.ledgers.ledgers, *refreshed.after, clients)));
  Adopt(refreshed.ledgers.ledgers, refreshed.rolled_back, std::move(refreshed.after));  // a client may have gone
  return refreshed.status;
}

// Keeps the client's keys as they were known, or notes that they have to be read.
void KeyRing::Compare(const Client& client, const Inventory& inventory, bool whole, Refreshed& refreshed) const {
  static const ClientLedger no_ledger;
  static const ClientKeys none;
  const auto& id = client.client_id;
  const auto& ledger = Get(refreshed.ledgers.ledgers, id, no_ledger);
  const auto* copied = HasCopiesOf(client) ? &Get(*refreshed.originals, id, none) : nullptr;
  const auto version = copied == nullptr ? ledger.version : copied->version;
  const auto known = refreshed.before->find(id);
  const auto seen = inventory.Of(id, copied == nullptr ? ledger.keys : ScheduleOf(*copied));
  const auto& errors = refreshed.ledgers.errors;
  if (const auto error = errors.find(id); copied == nullptr && error != errors.end()) {
    refreshed.status = whole ? Status() : std::unexpected(error->second);
    auto kept = known == refreshed.before->end() ? ClientKeys() : known->second;
    if (!refreshed.rolled_back.contains(id)) {
      kept.keys.clear();  // nobody knows what they may do now; the version must not be forgotten
      kept.seen = 0;
    }
    refreshed.after->emplace(id, std::move(kept));
  } else if (known != refreshed.before->end() && known->second.version == version &&
             known->second.copies == (copied != nullptr) && known->second.seen == seen &&
             IsWhole(known->second, clock_())) {
    refreshed.after->insert(*known);
  } else {
    refreshed.stale.push_back({.client = client, .ledger = ledger, .originals = copied, .seen = seen});
  }
}

// Fails when nothing may be adopted; a client that cannot be read shows in the status.
Status KeyRing::ReadStale(bool whole, Refreshed& refreshed) const {
  std::set<std::string, std::less<>> labels;
  std::set<Bytes> ids;
  for (const auto& stale : refreshed.stale) {
    labels.insert(stale.client.client_id);
    ids.merge(AdoptedIds(stale.originals == nullptr ? stale.ledger.keys : ScheduleOf(*stale.originals)));
  }
  ASSIGN_OR_RETURN(const auto contents, token_.Read(labels, ids));
  const auto now = clock_();
  for (const auto& stale : refreshed.stale) {
    const auto known = refreshed.before->find(stale.client.client_id);
    const bool is_known = known != refreshed.before->end();
    auto keys = stale.originals == nullptr ? ReadKeys(token_, stale.client, stale.ledger, contents,
                                                      is_known ? known->second : ClientKeys(), random_, now)
                                           : ReadCopies(token_, stale.client, *stale.originals, contents, random_, now);
    if (keys) {
      keys->seen = stale.seen;
      refreshed.after->emplace(stale.client.client_id, std::move(*keys));
      continue;
    }
    if (whole) {
      return std::unexpected(keys.error());
    }
    refreshed.status = std::unexpected(keys.error());
    refreshed.unread.insert(stale.client.client_id);
    if (is_known) {  // one client's trouble is not another's
      refreshed.after->emplace(stale.client.client_id, WithoutWithdrawn(known->second, stale.ledger, now));
    }
  }
  return {};
}

// Only when the token has changed, because it reads every object under a name of ours.
void KeyRing::FindStraysTwice() {
  std::size_t inventory = 0;
  {
    const MutexLock lock(refreshing_);
    inventory = inventory_;
  }
  Ledgers ledgers;
  std::vector<std::string> client_ids;
  std::size_t versions = 0;
  const auto broken = broken_ledgers_.load();
  for (const auto known = keys_.load(); const auto& [client_id, keys] : *known) {
    if (broken->contains(client_id)) {
      continue;  // nobody knows which keys are this client's
    }
    client_ids.push_back(client_id);
    ledgers.emplace(
        client_id,
        ClientLedger{
            .client_id = client_id, .version = keys.version, .previous = {}, .keys = ScheduleOf(keys), .requests = {}});
    MixInto(versions, client_id + ":" + std::to_string(keys.version));
  }
  const std::pair looked_at(inventory, versions);
  const bool confirmed = strays_.load()->size() == seen_once_.size();
  if (looked_at == looked_at_ && confirmed) {
    return;
  }
  auto found = FindStrays(token_, client_ids, ledgers);
  if (!found) {
    return;  // the refresh says what is wrong with the token
  }
  looked_at_ = looked_at;
  const auto among = [](const std::vector<Stray>& strays) {
    return [&strays](const Stray& one) {
      return std::ranges::any_of(strays, [&](const Stray& other) { return AreOneObject(one, other); });
    };
  };
  if (lacks_objects_) {  // what hides keys hides strays, too
    const auto present = *found;
    std::ranges::remove_copy_if(seen_once_, std::back_inserter(*found), among(present));
  }
  std::vector<Stray> twice;
  std::ranges::copy_if(*found, std::back_inserter(twice), among(seen_once_));
  seen_once_ = std::move(*found);
  strays_.store(std::make_shared<const std::vector<Stray>>(std::move(twice)));
}

// Copies follow the original's schedule as it is now: a key that is revoked there signs nowhere.
const ScheduledKey* KeyRing::SigningAt(std::string_view client_id, const ClientKeys& keys, Time now) const {
  if (!keys.copies) {
    return keys.SigningAt(now);
  }
  const auto originals = originals_->Snapshot();
  const auto found = originals->find(client_id);
  const auto* original = found == originals->end() ? nullptr : found->second.SigningAt(now);
  return original == nullptr ? nullptr : keys.WithKid(original->record.kid);
}

Result<SigningInput> KeyRing::ProofInput() const {
  ASSIGN_OR_RETURN(auto text, assertion::ProofInput(random_));
  return SigningInput(std::move(text));
}

std::vector<SigningKeyPtr> KeyRing::SigningKeys() const {
  const auto keys = keys_.load();
  const auto now = clock_();
  std::vector<SigningKeyPtr> signing;
  for (const auto& [client_id, client] : *keys) {
    const auto* entry = SigningAt(client_id, client, now);
    if (entry != nullptr && entry->key) {
      signing.push_back(entry->key);
    }
  }
  return signing;
}

std::int64_t KeyRing::VersionOf(std::string_view client_id) const {
  const auto keys = keys_.load();
  const auto found = keys->find(client_id);
  return found == keys->end() ? 0 : found->second.version;
}

std::optional<Client> KeyRing::FindClient(std::string_view client_id) const {
  const auto clients = clients_.load();
  const auto* const found = clients->Find(client_id);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

void KeyRing::KeepFresh(std::chrono::milliseconds interval, std::function<void(const Status&)> refreshed) {
  refresher_ = std::jthread([this, interval, refreshed = std::move(refreshed)](const std::stop_token& stop) {
    auto retry = kFirstRetry;
    FindStraysTwice();
    while (WaitUntilDue(stop, NextPause(interval, retry))) {
      const auto status = Refresh();
      FindStraysTwice();
      refreshed(status);
    }
  });
}

// A proof that failed may have met a bad moment of the token: it is repeated soon, and then ever more rarely.
std::chrono::milliseconds KeyRing::NextPause(std::chrono::milliseconds interval,
                                             std::chrono::milliseconds& retry) const {
  if (!HasUnprovenKey(*keys_.load())) {
    retry = kFirstRetry;
    return interval;
  }
  return std::min(std::exchange(retry, std::min(2 * retry, interval)), interval);
}

// False: stop.
bool KeyRing::WaitUntilDue(const std::stop_token& stop, std::chrono::milliseconds interval) {
  MutexLock lock(waiting_);
  if (std::exchange(refreshes_, false)) {
    refreshed_at_ = std::chrono::steady_clock::now();
  }
  woken_.wait_for(lock, stop, interval, [this]() REQUIRES(waiting_) { return due_; });
  due_ = false;
  refreshes_ = true;
  return !stop.stop_requested();
}

void KeyRing::RepeatRefresh(std::chrono::steady_clock::time_point since) {
  {
    const MutexLock lock(waiting_);
    due_ = due_ || refreshes_ || refreshed_at_ >= since;
  }
  woken_.notify_all();
}

// FAILED_PRECONDITION; nothing when the client's ledger counts, or it has none.
std::optional<Error> KeyRing::WhyNoLedger(std::string_view client_id) const {
  const auto broken = broken_ledgers_.load();
  const auto error = broken->find(client_id);
  return error == broken->end()
             ? std::nullopt
             : std::optional(Error{Code::kFailedPrecondition, error->second.message, error->second.detail});
}

Result<SigningKeyPtr> KeyRing::SigningKeyOf(std::string_view client_id) const {
  const auto keys = keys_.load();
  const auto found = keys->find(client_id);
  const auto now = clock_();
  const auto* entry = found == keys->end() ? nullptr : SigningAt(client_id, found->second, now);
  if (found != keys->end() && IsOutdated(found->second)) {
    return Outdated(client_id);
  }
  if (entry != nullptr && now < entry->held_until) {
    return Fail(Code::kUnavailable, "the next key cannot sign yet; try again",
                "client '" + std::string(client_id) + "': its ledger was written late; key " + entry->record.kid +
                    " signs from " + Rfc3339(entry->held_until) + " on");
  }
  if (entry != nullptr && !entry->key && entry->flaw) {
    return Flawed(client_id, *entry->flaw);
  }
  if (entry == nullptr || !entry->key) {
    const auto why = WhyNoLedger(client_id);
    return why ? std::unexpected(*why) : NoSigningKey(client_id);
  }
  if (HasExpired(*entry->key, now)) {
    const auto client = FindClient(client_id);
    if (!client || !client->sign_with_expired_certificate) {
      return Fail(Code::kFailedPrecondition, "the certificate of client '" + std::string(client_id) + "' expired on " +
                                                 Rfc3339(entry->key->chain.front().not_after) +
                                                 ": import a new one, or rotate the key");
    }
  }
  return entry->key;
}

std::string KeyRing::WaitsFor(std::string_view client_id, const ScheduledKey& entry) const {
  const auto client = FindClient(client_id);
  return client ? WhatLacks(*client, entry, clock_()) : "";
}

std::map<std::string, std::string, std::less<>> KeyRing::WaitingClients() const {
  const auto keys = keys_.load();
  const auto clients = clients_.load();
  const auto now = clock_();
  std::map<std::string, std::string, std::less<>> waiting;
  for (const auto& client : *clients) {
    const auto found = keys->find(client.client_id);
    const auto* entry = found == keys->end() ? nullptr : SigningAt(client.client_id, found->second, now);
    if (auto lacks = entry == nullptr ? "" : WhatLacks(client, *entry, now); !lacks.empty()) {
      waiting.emplace(client.client_id, std::move(lacks));
    }
  }
  return waiting;
}

std::chrono::steady_clock::time_point KeyRing::CountsUntil(std::string_view client_id) const {
  const auto keys = keys_.load();
  const auto found = keys->find(client_id);
  return found == keys->end() ? std::chrono::steady_clock::time_point::max() : found->second.counts_until;
}

// Copies follow the original's schedule, as in SigningAt.
bool KeyRing::IsGood(const SigningKey& key) const {
  auto keys = keys_.load();
  auto found = keys->find(key.client_id);
  if (found != keys->end() && found->second.copies) {
    keys = originals_->Snapshot();
    found = keys->find(key.client_id);
  }
  const auto* entry = found == keys->end() ? nullptr : found->second.WithKid(key.kid);
  return entry != nullptr && entry->record.StateAt(clock_()) != KeyState::kWithdrawn && !IsOutdated(found->second);
}

Result<ScheduledKey> KeyRing::Find(std::string_view client_id, std::string_view kid) const {
  const auto keys = keys_.load();
  const auto found = keys->find(client_id);
  const auto* entry = found == keys->end() ? nullptr
                      : kid.empty()        ? SigningAt(client_id, found->second, clock_())
                                           : found->second.WithKid(kid);
  if (entry == nullptr) {
    if (const auto why = WhyNoLedger(client_id)) {
      return std::unexpected(*why);
    }
    return kid.empty() ? NoSigningKey(client_id)
                       : Fail(Code::kNotFound, "kid: client '" + std::string(client_id) + "' has no such key");
  }
  return *entry;
}

}  // namespace assertion
