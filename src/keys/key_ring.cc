#include "keys/key_ring.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "keys/proof.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

std::string Named(std::string_view client_id, const KeyRecord& record) {
  return "the key of client '" + std::string(client_id) + "' (kid " + record.kid + ", CKA_ID " + Hex(record.id) + ")";
}

// Where a copy came from its original's attributes tell, whose public key it has: tokens differ in what they write here
// for a key that the vendor's means have brought.
bool IsFit(const KeyAttribute& attribute, bool copy) {
  if (!copy) {
    return attribute.ok();
  }
  if (attribute.name == "CKA_EXTRACTABLE") {
    return attribute.value == false;
  }
  return attribute.name == "CKA_ALWAYS_SENSITIVE" || attribute.name == "CKA_NEVER_EXTRACTABLE" ||
         attribute.name == "CKA_LOCAL" || attribute.ok();
}

Status CheckCustody(const TokenKey& key, const std::string& name, bool copy) {
  std::string wrong;
  for (const auto& attribute : key.attributes) {
    if (!IsFit(attribute, copy)) {
      const char* shown = !attribute.value ? "not shown" : *attribute.value ? "true" : "false";
      wrong += (wrong.empty() ? "" : ", ") + std::string(attribute.name) + " is " + shown;
    }
  }
  if (!wrong.empty()) {
    return Fail(Code::kKeyForbidden, name + " must not sign: " + wrong);
  }
  return {};
}

// Whether no key can be judged by the error, for the token does not answer. All others are a flaw of the one key.
bool IsTheTokens(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kTokenAbsent || error.code == Code::kDeadlineExceeded;
}

Status Prove(Token& token, const SigningKey& key, const std::string& name, const Random& random) {
  auto proven = ProveKey(token, key.id, *key.algorithm, key.verifier, random);
  if (!proven && !IsTheTokens(proven.error())) {
    return Fail(Code::kKeyUnproven, name + " did not make a signature that its public key verifies",
                proven.error().ToString());
  }
  return proven;
}

// The certificates that the record names, from those on the token.
Result<std::vector<Certificate>> ReadChain(const KeyRecord& record, const PublicKey& public_key,
                                           const std::vector<TokenObject>& certificates, const std::string& name) {
  std::vector<Certificate> chain;
  for (const auto& thumbprint : record.certificates) {
    const auto found = std::ranges::find(certificates, thumbprint,
                                         [](const auto& object) { return jws::Sha256Thumbprint(object.value); });
    if (found == certificates.end()) {
      return Fail(Code::kLedgerUnusable, "the token lacks a certificate of " + name, "x5t#S256 " + thumbprint);
    }
    auto certificate = x509::ParseCertificate(found->value);
    if (!certificate) {
      return Fail(Code::kKeyUnproven, "a certificate of " + name + " cannot be read", certificate.error().ToString());
    }
    chain.push_back(std::move(*certificate));
  }
  if (!chain.empty() && chain.front().public_key != public_key) {
    return Fail(Code::kKeyUnproven, "the certificate of " + name + " does not belong to that key");
  }
  return chain;
}

// The public half that the record means, whatever else stands beside it. It is the same wherever the key lives.
Result<PublicKey> FindHalf(const KeyRecord& record, const TokenKey& key, const std::string& name) {
  if (key.flaw) {
    return Fail(key.flaw->code, name + " cannot be used: " + key.flaw->message, key.flaw->detail);
  }
  const auto found = std::ranges::find_if(
      key.candidates, [&](const auto& candidate) { return jws::JwkThumbprint(candidate) == record.kid; });
  if (found == key.candidates.end()) {
    return Fail(Code::kLedgerUnusable, name + " is another on the token than in the ledger");
  }
  return *found;
}

// The public key object of a key on a curve can be destroyed without a PIN, or have another in its place. The kid,
// which the ledger holds, vouches for the public key wherever it is found: in the certificate, or in what was known
// `before`.
std::optional<PublicKey> FindHalfElsewhere(const KeyRecord& record, const TokenContents& contents,
                                           const ClientKeys& before) {
  if (const auto* known = before.WithKid(record.kid); known != nullptr && known->key) {
    return known->key->public_key;
  }
  for (const auto& object : contents.certificates) {
    if (std::ranges::find(record.certificates, jws::Sha256Thumbprint(object.value)) == record.certificates.end()) {
      continue;
    }
    const auto certificate = x509::ParseCertificate(object.value);
    if (certificate && certificate->public_key && jws::JwkThumbprint(*certificate->public_key) == record.kid) {
      return certificate->public_key;
    }
  }
  return std::nullopt;
}

// `key` as the one that the record means, or why not. One that is withdrawn is shown as it is: it will never sign.
Result<ScheduledKey> Admit(Token& token, const std::string& client_id, const KeyRecord& record, const TokenKey& key,
                           const TokenContents& contents, const ClientKeys& before, bool withdrawn,
                           const Random& random) {
  const auto name = Named(client_id, record);
  auto half = FindHalf(record, key, name);
  if (!half && half.error().code != Code::kKeyAmbiguous && half.error().code != Code::kKeyForbidden &&
      record.algorithm->curve != nullptr && !key.attributes.empty()) {
    if (auto elsewhere = FindHalfElsewhere(record, contents, before)) {
      half = std::move(*elsewhere);
    }
  }
  if (!half) {
    return std::unexpected(half.error());
  }
  if (const auto fit = CheckCustody(key, name, /*copy=*/false); !fit && !withdrawn) {
    return std::unexpected(fit.error());
  }
  auto verifier = x509::Verifier::New(*half, *record.algorithm);
  if (!verifier) {
    return Fail(Code::kKeyUnproven, name + " is not what the ledger says: " + verifier.error().message,
                verifier.error().detail);
  }
  ScheduledKey entry{.record = record, .key = nullptr, .flaw = {}};
  auto chain = ReadChain(record, *half, contents.certificates, name);
  if (!chain) {
    // A certificate can be destroyed without a PIN. The identity server has its copy: the key goes on.
    entry.certificate_flaw = chain.error();
    const auto* known = before.WithKid(record.kid);
    const bool same = known != nullptr && known->key && known->record.certificates == record.certificates;
    chain = same ? known->key->chain : std::vector<Certificate>();
  }
  auto admitted =
      std::make_shared<SigningKey>(SigningKey{.client_id = client_id,
                                              .algorithm = record.algorithm,
                                              .id = key.id,
                                              .public_key = std::move(*half),
                                              .kid = record.kid,
                                              .encoded_header = jws::EncodedHeader(*record.algorithm, record.kid),
                                              .chain = std::move(*chain),
                                              .verifier = std::move(*verifier)});
  if (!withdrawn) {
    if (const auto proven = Prove(token, *admitted, name, random); !proven) {
      return std::unexpected(proven.error());
    }
  }
  entry.key = std::move(admitted);
  return entry;
}

// The original once more, from a token that holds a copy of it.
Result<SigningKeyPtr> AdmitCopy(Token& token, const SigningKeyPtr& original, const KeyRecord& record,
                                const TokenKey& key, const Random& random) {
  const auto name = "the copy of " + Named(original->client_id, record);
  // A copy's public half is the original's: what else stands under its CKA_ID does not matter, the proof does.
  if (auto half = FindHalf(record, key, name); !half && (key.flaw || original->algorithm->curve == nullptr)) {
    return std::unexpected(half.error());
  }
  if (auto fit = CheckCustody(key, name, /*copy=*/true); !fit) {
    return std::unexpected(fit.error());
  }
  if (auto proven = Prove(token, *original, name, random); !proven) {
    return std::unexpected(proven.error());
  }
  return original;
}

const TokenKey* FindKey(const TokenContents& contents, const std::string& client_id, const KeyRecord& record) {
  const auto found = std::ranges::find_if(
      contents.keys, [&](const auto& key) { return key.id == record.id && key.label == client_id; });
  return found == contents.keys.end() ? nullptr : &*found;
}

template <typename Map>
const typename Map::mapped_type& Get(const Map& map, const std::string& key,
                                     const typename Map::mapped_type& otherwise) {
  const auto found = map.find(key);
  return found == map.end() ? otherwise : found->second;
}

// What is missing, or has a flaw, is looked at again each time: a flaw may end without an object's coming or going.
bool IsWhole(const ClientKeys& keys, Time now) {
  return std::ranges::all_of(keys.keys, [&](const auto& entry) {
    return (entry.key && !entry.flaw) || entry.record.StateAt(now) == KeyState::kWithdrawn;
  });
}

void Mix(std::size_t& seed, std::string_view text) {
  constexpr std::size_t kOdd = 0x9E3779B97F4A7C15U;
  seed ^= std::hash<std::string_view>()(text) + kOdd + (seed << 6U) + (seed >> 2U);
}

// Changes when the object is another, or is told of otherwise.
std::size_t HashOf(const ListedObject& object) {
  std::size_t hash = static_cast<std::size_t>(object.kind) * 2 + (object.is_private ? 1 : 0);
  Mix(hash, std::to_string(object.handle.value) + "," + std::to_string(object.handle.epoch));
  Mix(hash, object.label);
  Mix(hash, std::string_view(reinterpret_cast<const char*>(object.id.data()), object.id.size()));
  return hash;
}

// What the token holds, summed up: in all, under each label, and under each CKA_ID.
struct Inventory {
  std::size_t all = 0;
  std::map<std::string, std::size_t, std::less<>> by_label;
  std::map<Bytes, std::size_t> by_id;

  explicit Inventory(const std::vector<ListedObject>& objects) {
    for (const auto& object : objects) {
      const auto hash = HashOf(object);  // added up: a token lists in any order
      all += hash;
      if (object.kind != ObjectKind::kData) {
        by_label[object.label] += hash;
        by_id[object.id] += hash;
      }
    }
  }

  // Changes with what bears on the client's keys.
  std::size_t Of(const std::string& client_id, const Schedule& schedule) const {
    const auto labelled = by_label.find(client_id);
    std::size_t sum = labelled == by_label.end() ? 0 : labelled->second;
    for (const auto& record : schedule) {
      const auto found = by_id.find(record.id);
      sum += found == by_id.end() ? 0 : found->second;
    }
    return sum;
  }
};

Schedule ScheduleOf(const ClientKeys& keys) {
  Schedule schedule;
  for (const auto& entry : keys.keys) {
    schedule.push_back(entry.record);
  }
  return schedule;
}

// Whether a key of the ledger was not found as it should be. Between two looks another administrator may have changed
// both.
bool LacksOne(const KeySet& keys) {
  return std::ranges::any_of(keys, [](const auto& client) {
    return std::ranges::any_of(client.second.keys, [&](const auto& entry) {
      return !client.second.copies && entry.flaw &&
             (entry.flaw->code == Code::kLedgerUnusable || entry.flaw->code == Code::kKeyAmbiguous);
    });
  });
}

// Whether a ledger is not found at all any more.
bool LacksOne(const KeyRing::OlderLedgers& ledgers) {
  return std::ranges::any_of(ledgers, [](const auto& client) { return client.second.found == 0; });
}

std::unexpected<Error> Flawed(std::string_view client_id, const Error& flaw) {
  return Fail(Code::kFailedPrecondition,
              "client '" + std::string(client_id) + "' cannot sign: " + flaw.message + ": see assertionctl doctor");
}

// How long a look at the ledger of a client with Binding::kJwks counts. See KeyRing.
std::chrono::milliseconds LookCountsFor(const Client& client) {
  return std::chrono::milliseconds(client.publish_lead) * 3 / 4;
}

bool IsOutdated(const ClientKeys& keys) { return keys.counts_until <= std::chrono::steady_clock::now(); }

// Until when a key that was not in the ledger at the last look is held back. One that was forced to sign early is not.
Time HeldUntil(const Client& client, const KeyRecord& record, Time now) {
  const bool waits = record.sign_from != kNever && record.sign_from - record.publish_from >= client.publish_lead;
  const auto safe = now + std::chrono::ceil<std::chrono::seconds>(LookCountsFor(client));
  return client.binding == Binding::kJwks && waits && record.sign_from < safe ? safe : Time();
}

std::unexpected<Error> Outdated(std::string_view client_id) {
  return Fail(Code::kUnavailable, "the HSM is not available; try again",
              "the keys of client '" + std::string(client_id) + "' could not be read for most of publish_lead");
}

std::unexpected<Error> NoSigningKey(std::string_view client_id) {
  return Fail(Code::kFailedPrecondition, "client '" + std::string(client_id) +
                                             "' has no key that signs now: assertionctl key generate --client-id " +
                                             std::string(client_id));
}

}  // namespace

const ScheduledKey* ClientKeys::SigningAt(Time now) const {
  const auto found = std::ranges::find_if(keys, [&](const auto& entry) { return entry.record.SignsAt(now); });
  return found == keys.end() ? nullptr : &*found;
}

const ScheduledKey* ClientKeys::WithKid(std::string_view kid) const {
  const auto found = std::ranges::find_if(keys, [&](const auto& entry) { return entry.record.kid == kid; });
  return found == keys.end() ? nullptr : &*found;
}

Result<std::unique_ptr<KeyRing>> KeyRing::Load(Token& token, Ledger& ledger, std::vector<Client> clients, Clock clock,
                                               Random random, const KeyRing* originals) {
  std::unique_ptr<KeyRing> ring(
      new KeyRing(token, ledger, std::move(clients), std::move(clock), std::move(random), originals));
  constexpr int kLooks = 3;
  auto loaded = ring->Refresh();
  for (int look = 1;
       look < kLooks && (loaded ? LacksOne(*ring->keys_.load()) : loaded.error().code == Code::kLedgerUnusable);
       ++look) {
    loaded = ring->Refresh();
  }
  // A ledger that cannot be used stops its client alone.
  if (!loaded && (loaded.error().code != Code::kLedgerUnusable || ring->broken_ledgers_.load()->empty())) {
    return std::unexpected(loaded.error());
  }
  return ring;
}

// The ledgers as they are at least as new as what was seen. A look at the token may miss a version that has just come.
// `rolled_back`: the clients whose newest ledger is older than that; their keys as they were known stay in use.
Result<LedgerContents> KeyRing::ReadLedgers(OlderLedgers& rolled_back) const {
  constexpr int kLooks = 5;
  auto seen = floor_;
  for (const auto& [client_id, keys] : *keys_.load()) {
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
  const std::lock_guard lock(refreshing_);
  floor_ = std::move(floor);
  seen_ = std::move(seen);
  auto kept = std::make_shared<KeySet>(*keys_.load());
  for (auto& [client_id, keys] : *kept) {
    const auto least = floor_.find(client_id);
    if (!keys.copies && least != floor_.end() && keys.version < least->second) {
      keys = {};
    }
  }
  keys_.store(std::move(kept));
  static_cast<void>(Update(*clients_.load(), /*whole=*/false));  // the next refresh says what is wrong
}

std::int64_t KeyRing::SeenVersionOf(std::string_view client_id) const {
  const std::lock_guard lock(refreshing_);
  const auto found = floor_.find(client_id);
  return std::max(found == floor_.end() ? 0 : found->second, VersionOf(client_id));
}

// Which versions are in use, each once.
void KeyRing::Tell(const Ledgers& ledgers, const KeySet& keys) {
  for (const auto& [client_id, client] : keys) {
    const auto ledger = ledgers.find(client_id);
    if (!seen_ || client.copies || ledger == ledgers.end() || ledger->second.version != client.version) {
      continue;
    }
    auto& told = told_[client_id];
    if (told < client.version) {
      told = client.version;
      seen_(ledger->second);
    }
  }
}

Status KeyRing::Refresh() {
  const std::lock_guard lock(refreshing_);
  return Update(*clients_.load(), /*whole=*/false);
}

Status KeyRing::Reconfigure(std::vector<Client> clients) {
  const std::lock_guard lock(refreshing_);
  const auto next = std::make_shared<const std::vector<Client>>(std::move(clients));
  auto updated = Update(*next, /*whole=*/true);
  if (updated) {
    clients_.store(next);
  }
  return updated;
}

void KeyRing::Expect(std::vector<Client> clients) {
  const std::lock_guard lock(refreshing_);
  clients_.store(std::make_shared<const std::vector<Client>>(std::move(clients)));
}

void KeyRing::Adopt(const Ledgers& ledgers, const OlderLedgers& rolled_back, std::shared_ptr<const KeySet> keys) {
  Tell(ledgers, *keys);
  lacks_objects_ = LacksOne(rolled_back) || LacksOne(*keys);
  keys_.store(std::move(keys));
}

// `whole`: all of it, or nothing.
Status KeyRing::Update(const std::vector<Client>& clients, bool whole) {
  OlderLedgers rolled_back;
  const auto began = std::chrono::steady_clock::now();
  const auto ledgers = ReadLedgers(rolled_back);
  if (!ledgers) {
    return std::unexpected(ledgers.error());
  }
  stray_ledgers_.store(std::make_shared<const std::vector<StrayText>>(ledgers->strays));
  broken_ledgers_.store(std::make_shared<const LedgerErrors>(ledgers->errors));
  rolled_back_.store(std::make_shared<const OlderLedgers>(rolled_back));
  const auto listed = token_.List(kStrayApplications);
  if (!listed) {
    return std::unexpected(listed.error());
  }
  const Inventory inventory(*listed);
  inventory_ = inventory.all;
  const auto before = keys_.load();
  const auto originals = originals_ == nullptr ? nullptr : originals_->Snapshot();
  const ClientLedger no_ledger;
  const ClientKeys none;
  struct Change {
    const Client& client;
    const ClientLedger& ledger;
    const ClientKeys* originals;  // null: the keys are this token's own
    std::size_t seen;
  };
  auto after = std::make_shared<KeySet>();
  std::vector<Change> changed;
  std::set<std::string, std::less<>> labels;
  Status read;
  for (const auto& client : clients) {
    const auto& ledger = Get(ledgers->ledgers, client.client_id, no_ledger);
    const auto* copied = HasCopiesOf(client) ? &Get(*originals, client.client_id, none) : nullptr;
    const auto version = copied == nullptr ? ledger.version : copied->version;
    const auto known = before->find(client.client_id);
    const auto seen = inventory.Of(client.client_id, copied == nullptr ? ledger.keys : ScheduleOf(*copied));
    if (const auto error = ledgers->errors.find(client.client_id);
        copied == nullptr && error != ledgers->errors.end()) {
      read = whole ? Status() : std::unexpected(error->second);
      auto kept = known == before->end() ? ClientKeys() : known->second;
      if (!rolled_back.contains(client.client_id)) {
        kept.keys.clear();  // nobody knows what they may do now; the version is not to be forgotten
        kept.seen = 0;
      }
      after->emplace(client.client_id, std::move(kept));
    } else if (known != before->end() && known->second.version == version &&
               known->second.copies == (copied != nullptr) && known->second.seen == seen &&
               IsWhole(known->second, clock_())) {
      after->insert(*known);
    } else {
      changed.push_back({.client = client, .ledger = ledger, .originals = copied, .seen = seen});
      labels.insert(client.client_id);
    }
  }
  std::set<std::string_view> unread;
  const auto adopt = [&] {
    for (const auto& client : clients) {
      if (const auto keys = after->find(client.client_id); keys != after->end() && !unread.contains(client.client_id)) {
        keys->second.counts_until = client.binding == Binding::kJwks ? began + LookCountsFor(client)
                                                                     : std::chrono::steady_clock::time_point::max();
      }
    }
    Adopt(ledgers->ledgers, rolled_back, std::move(after));
  };
  if (changed.empty()) {
    adopt();  // a client may have gone
    return read;
  }
  const auto contents = token_.Read(labels);
  if (!contents) {
    return std::unexpected(contents.error());
  }
  for (const auto& change : changed) {
    const auto known = before->find(change.client.client_id);
    auto keys = change.originals == nullptr
                    ? Read(change.client, change.ledger, *contents, known == before->end() ? none : known->second)
                    : ReadCopies(change.client, *change.originals, *contents);
    if (keys) {
      keys->seen = change.seen;
      after->emplace(change.client.client_id, std::move(*keys));
      continue;
    }
    read = std::unexpected(keys.error());
    unread.insert(change.client.client_id);
    if (whole) {
      return read;
    }
    if (known != before->end()) {
      after->insert(*known);  // one client's trouble is not another's
    }
  }
  adopt();
  return read;
}

// Fails only when the token cannot be asked.
Result<ClientKeys> KeyRing::Read(const Client& client, const ClientLedger& ledger, const TokenContents& contents,
                                 const ClientKeys& before) const {
  const auto now = clock_();
  const bool others_sign = before.SigningAt(now) != nullptr;  // false at the first look: nobody knows how late it is
  ClientKeys keys{.version = ledger.version, .keys = {}};
  for (const auto& record : ledger.keys) {
    const bool withdrawn = record.StateAt(now) == KeyState::kWithdrawn;
    const auto* found = FindKey(contents, client.client_id, record);
    auto admitted =
        found != nullptr
            ? Admit(token_, client.client_id, record, *found, contents, before, withdrawn, random_)
            : Fail(Code::kLedgerUnusable, Named(client.client_id, record) + " is in the ledger but not on the token");
    if (!admitted && IsTheTokens(admitted.error())) {
      return std::unexpected(admitted.error());
    }
    const auto* earlier = before.WithKid(record.kid);
    const auto held_until = earlier != nullptr ? earlier->held_until
                            : others_sign      ? HeldUntil(client, record, now)
                                               : Time();
    if (admitted) {
      admitted->held_until = held_until;
      keys.keys.push_back(std::move(*admitted));
      continue;
    }
    ScheduledKey entry{.record = record, .key = nullptr, .flaw = {}, .certificate_flaw = {}, .held_until = held_until};
    if (!withdrawn) {
      // One that is not found may be hidden by a token that is away: its signatures will tell.
      const auto* known = found == nullptr ? before.WithKid(record.kid) : nullptr;
      entry.key = known == nullptr ? nullptr : known->key;
      entry.flaw = std::move(admitted.error());
    }
    keys.keys.push_back(std::move(entry));
  }
  std::ranges::stable_sort(keys.keys, {}, [](const auto& entry) { return entry.record.sign_from; });
  return keys;
}

// At a changed token alone: it takes a look at every object under a name of ours.
void KeyRing::LookForStrays() {
  std::size_t inventory = 0;
  {
    const std::lock_guard lock(refreshing_);
    inventory = inventory_;
  }
  Ledgers ledgers;
  std::vector<std::string> client_ids;
  std::size_t versions = 0;
  const auto broken = broken_ledgers_.load();
  for (const auto& [client_id, keys] : *keys_.load()) {
    if (broken->contains(client_id)) {
      continue;  // nobody knows which keys are this client's
    }
    client_ids.push_back(client_id);
    ledgers.emplace(
        client_id,
        ClientLedger{
            .client_id = client_id, .version = keys.version, .previous = {}, .keys = ScheduleOf(keys), .requests = {}});
    Mix(versions, client_id + ":" + std::to_string(keys.version));
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
  std::vector<Stray> twice;
  std::ranges::copy_if(*found, std::back_inserter(twice),
                       [this](const auto& stray) { return std::ranges::find(seen_once_, stray) != seen_once_.end(); });
  seen_once_ = std::move(*found);
  strays_.store(std::make_shared<const std::vector<Stray>>(std::move(twice)));
}

ClientKeys KeyRing::ReadCopies(const Client& client, const ClientKeys& originals, const TokenContents& contents) const {
  const auto now = clock_();
  ClientKeys keys{.version = originals.version, .keys = {}, .copies = true};
  for (const auto& entry : originals.keys) {
    const auto& record = entry.record;
    const auto& original = entry.key;
    ScheduledKey copy{.record = record, .key = nullptr, .flaw = {}};
    const auto* found = FindKey(contents, client.client_id, record);
    if (found != nullptr && original && record.StateAt(now) != KeyState::kWithdrawn) {
      auto admitted = AdmitCopy(token_, original, record, *found, random_);
      copy.key = admitted ? std::move(*admitted) : nullptr;
      copy.flaw = admitted ? std::nullopt : std::optional(std::move(admitted.error()));
    }
    keys.keys.push_back(std::move(copy));
  }
  return keys;
}

// Of copies the original's schedule is asked at once: a key that is revoked there signs nowhere.
const ScheduledKey* KeyRing::SigningAt(std::string_view client_id, const ClientKeys& keys, Time now) const {
  if (!keys.copies) {
    return keys.SigningAt(now);
  }
  const auto originals = originals_->Snapshot();
  const auto found = originals->find(client_id);
  const auto* original = found == originals->end() ? nullptr : found->second.SigningAt(now);
  return original == nullptr ? nullptr : keys.WithKid(original->record.kid);
}

Result<std::string> KeyRing::ProofInput() const { return assertion::ProofInput(random_); }

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
  const auto found = std::ranges::find(*clients, client_id, &Client::client_id);
  return found == clients->end() ? std::nullopt : std::optional(*found);
}

void KeyRing::KeepFresh(std::chrono::milliseconds interval, std::function<void(const Status&)> refreshed) {
  refresher_ = std::jthread([this, interval, refreshed = std::move(refreshed)](const std::stop_token& stop) {
    LookForStrays();
    std::unique_lock lock(waiting_);
    while (!stopped_.wait_for(lock, stop, interval, [] { return false; }) && !stop.stop_requested()) {
      const auto status = Refresh();
      LookForStrays();
      refreshed(status);
    }
  });
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
  const auto& chain = entry->key->chain;
  if (!chain.empty() && chain.front().not_after < now) {
    const auto client = FindClient(client_id);
    if (!client || !client->sign_with_expired_certificate) {
      return Fail(Code::kFailedPrecondition, "the certificate of client '" + std::string(client_id) + "' expired on " +
                                                 Rfc3339(chain.front().not_after) +
                                                 ": import a new one, or rotate the key");
    }
  }
  return entry->key;
}

std::chrono::steady_clock::time_point KeyRing::CountsUntil(std::string_view client_id) const {
  const auto keys = keys_.load();
  const auto found = keys->find(client_id);
  return found == keys->end() ? std::chrono::steady_clock::time_point::max() : found->second.counts_until;
}

// Of copies the original's schedule is asked, as in SigningAt.
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
