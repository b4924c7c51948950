#include "tokens/access_tokens.h"

#include <algorithm>
#include <array>
#include <utility>

#include "jws/thumbprint.h"

namespace assertion::tokens {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What can be asked for of tokens of this lifetime. An asker of more would get a token only in the moments after its
// purchase, and have one bought at nearly every call. A second of the life may go with rounding.
seconds LongestOf(seconds lifetime, milliseconds took) {
  constexpr int kTenths = 10;
  return std::max(seconds(0),
                  std::min(lifetime - lifetime / kTenths, std::chrono::floor<seconds>(lifetime - took - seconds(1))));
}

Error Paused(Error error, Instant until, Instant now) {
  error.retry_delay = std::max(std::chrono::ceil<milliseconds>(until - now), milliseconds(1));
  return error;
}

std::string InSeconds(milliseconds time) {
  constexpr int kPerTenth = 100;
  const auto tenths = (time.count() + kPerTenth / 2) / kPerTenth;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

Error TooShort(seconds lifetime, milliseconds took, seconds wanted) {
  const auto longest = LongestOf(lifetime, took);
  return {.code = Code::kFailedPrecondition,
          .message = "minimum_validity: the identity server's tokens are valid for " +
                     std::to_string(lifetime.count()) + " s, and its answer took " + InSeconds(took) + ", so " +
                     std::to_string(wanted.count()) + " s cannot be had; " +
                     (longest.count() > 0 ? "ask for at most " + std::to_string(longest.count()) + " s"
                                          : "no token can be handed out"),
          .detail = {}};
}

Error Stopping() {
  return {.code = Code::kUnavailable, .message = "the server is stopping: ask another, or later", .detail = {}};
}

Outcome OutcomeOf(const Purchase& bought) {
  if (bought) {
    return Outcome::kGranted;
  }
  const auto& refusal = bought.error();
  if (refusal.queue_full) {
    return Outcome::kQueueFull;
  }
  if (refusal.by_credentials || refusal.error.code == Code::kFailedPrecondition) {
    return Outcome::kRefused;
  }
  return refusal.error.code == Code::kResourceExhausted ? Outcome::kLimited : Outcome::kFailed;
}

bool IsRecorded(const AccessToken& token) { return token.line == nullptr || token.line->CheckDurable(); }

Instant BoughtAt(const AccessToken& token) { return token.expires - token.lifetime; }

}  // namespace

std::string DigestOf(const Secret& token) { return jws::Sha256Thumbprint(token.view()); }

AccessTokens::AccessTokens(Options options) : options_(std::move(options)) {}

void AccessTokens::Get(const Wanted& wanted, Ask ask, Done done) {
  Calls calls;
  std::optional<Result<AccessTokenPtr>> outcome;
  {
    const MutexLock lock(mutex_);
    const auto now = options_.now();
    if (auto found = FindOrAdd(wanted, now); !found) {
      outcome = std::unexpected(found.error());
    } else {
      auto& entry = **found;
      DropUnrecorded(wanted, entry, now, calls);
      auto held = Held(wanted, entry, ask, now);
      if (!held) {
        NoteTurnedAway(wanted.client_id, ask.caller);
        outcome = std::move(held);
      } else if (*held != nullptr) {
        NoteHad(entry, ask.minimum_validity, now);
        if (now >= RenewAt(entry) && entry.purchase == 0 && !PauseOf(wanted, entry, ask.caller, now)) {
          Begin(wanted, entry, ask.caller, now, calls);  // nobody waits for it
        }
        outcome = std::move(held);
      } else if (const auto waits = Wait(wanted.client_id, entry, ask, done); !waits) {
        outcome = std::unexpected(waits.error());
      } else if (entry.purchase == 0) {  // and no pause: Held would have refused
        Begin(wanted, entry, entry.waiters.back().ask.caller, now, calls);
      }
    }
  }
  for (auto& call : calls) {
    call();
  }
  if (outcome) {
    done(*std::move(outcome));
  }
}

void AccessTokens::CountHandOut(const std::string& client_id) {
  const MutexLock lock(mutex_);
  if (const auto found = clients_.find(client_id); found != clients_.end()) {  // a reload may have removed it
    ++found->second.counted.handed_out;
  }
}

// The token that the asker gets now, null if it has to wait, or why it gets none.
Result<AccessTokenPtr> AccessTokens::Held(const Wanted& wanted, const Entry& entry, const Ask& ask, Instant now) const {
  if (entry.token != nullptr && ask.minimum_validity > LongestValidity(entry) && now < RenewAt(entry)) {
    return std::unexpected(TooShort(entry.token->lifetime, entry.took, ask.minimum_validity));  // so would a new one be
  }
  if (entry.token != nullptr && entry.token->expires - now >= ask.minimum_validity) {
    return entry.token;
  }
  if (auto paused = PauseOf(wanted, entry, ask.caller, now); paused && entry.purchase == 0) {
    return std::unexpected(*std::move(paused));
  }
  return AccessTokenPtr();
}

seconds AccessTokens::LongestValidity(const Entry& entry) { return LongestOf(entry.token->lifetime, entry.took); }

// When a caller has the next token bought, so that it is there before this one is too short for the asker who wanted
// most lately. Not before half of the time in which this one serves that asker, lest it be bought again and again.
Instant AccessTokens::RenewAt(const Entry& entry) {
  constexpr int kTenths = 10;
  constexpr int kThousandths = 1000;
  const milliseconds life = entry.token->lifetime;
  const auto serves = life - std::min(std::max(entry.longest, entry.longest_before), LongestValidity(entry));
  const auto ahead = std::max(serves / kTenths, 2 * entry.waited);
  const auto after = std::min(std::max(serves - ahead, serves / 2), life - life / 5);
  return BoughtAt(*entry.token) + after - serves / kTenths * entry.jitter / kThousandths;
}

// Remembered for one to two lives of a token: who asks once in a life finds a token that is valid long enough.
void AccessTokens::NoteHad(Entry& entry, seconds minimum_validity, Instant now) {
  const auto life = entry.token->lifetime;
  if (const auto since = now - entry.longest_since; since >= life) {
    entry.longest_before = since < 2 * life ? entry.longest : seconds(0);
    entry.longest = {};
    entry.longest_since = now;
  }
  entry.longest = std::max(entry.longest, minimum_validity);
}

Result<AccessTokens::Entry*> AccessTokens::FindOrAdd(const Wanted& wanted, Instant now) {
  if (closed_) {
    return std::unexpected(Stopping());
  }
  if (const auto found = entries_.find(wanted); found != entries_.end()) {
    return &found->second;
  }
  auto& client = clients_[wanted.client_id];
  DropReplaced(wanted, client, now);
  RETURN_IF_ERROR(FindPlace(wanted.client_id, client, now));
  ++client.entries;
  return &entries_[wanted];
}

// Nothing: a purchase may begin. After a pause of the client the caller of the purchase that failed gives way to those
// who were refused meanwhile: what fails for its scope alone would otherwise be the only probe.
std::optional<Error> AccessTokens::PauseOf(const Wanted& wanted, const Entry& entry, const std::string& caller,
                                           Instant now) const {
  if (const auto found = pauses_.find(wanted.client_id); found != pauses_.end()) {
    const auto& pause = found->second;
    const auto until = pause.turned_away && pause.caller == caller ? pause.until + kProbe : pause.until;
    if (until > now) {
      return Paused(*pause.error, until, now);
    }
  }
  return entry.pause.until > now ? std::optional(Paused(*entry.pause.error, entry.pause.until, now)) : std::nullopt;
}

void AccessTokens::NoteTurnedAway(const std::string& client_id, const std::string& caller) {
  if (const auto found = pauses_.find(client_id); found != pauses_.end() && found->second.caller != caller) {
    found->second.turned_away = true;
  }
}

// A client whose purchases fail makes one probe a second, not one for each of its scopes.
void AccessTokens::Begin(const Wanted& wanted, Entry& entry, const std::string& caller, Instant now, Calls& calls) {
  entry.purchase = ++purchases_;
  entry.buyer = caller;
  if (const auto found = pauses_.find(wanted.client_id); found != pauses_.end()) {
    auto& pause = found->second;
    pause.until = now + kProbe;
    pause.caller = caller;
    pause.turned_away = false;
  }
  calls.emplace_back([this, wanted, purchase = entry.purchase, now] {
    options_.buy(
        wanted, [this, wanted, purchase, now](Purchase bought) { Finish(wanted, purchase, now, std::move(bought)); },
        [this, wanted, purchase] { return EndIfUnwanted(wanted, purchase); });
  });
}

// A token that is held was asked for lately: its renewal is wanted.
bool AccessTokens::EndIfUnwanted(const Wanted& wanted, std::uint64_t purchase) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(wanted);
  if (found == entries_.end() || found->second.purchase != purchase) {
    return true;
  }
  auto& entry = found->second;
  if (!entry.waiters.empty() || entry.token != nullptr) {
    return false;
  }
  entry.purchase = 0;
  return true;
}

void AccessTokens::Finish(const Wanted& wanted, std::uint64_t purchase, Instant ordered, Purchase bought) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    const auto client = clients_.find(wanted.client_id);
    if (client != clients_.end()) {
      ++client->second.counted.purchases.at(static_cast<std::size_t>(OutcomeOf(bought)));
    }
    const auto found = entries_.find(wanted);
    if (found == entries_.end() || found->second.purchase != purchase) {
      return;  // forgotten meanwhile: what was bought is wiped
    }
    auto& entry = found->second;
    entry.purchase = 0;
    const auto now = options_.now();
    if (bought) {  // beside the token that it replaces, which serves on if there is no room
      if (const auto room = FindOctets(clients_[wanted.client_id], bought->token.size()); !room) {
        bought = std::unexpected(Refusal{.error = room.error()});
      }
    }
    if (bought) {
      Keep(wanted, entry, ordered, *std::move(bought));
      pauses_.erase(wanted.client_id);
      if (failing_.erase(wanted.client_id) > 0 && options_.changed) {
        calls.emplace_back([this, wanted] { options_.changed(wanted.client_id, {}); });
      }
    } else {
      Note(wanted, entry, bought.error(), now, calls);
    }
    EndWaiting(wanted.client_id, entry.waiters.size());
    for (auto& waiter : entry.waiters) {
      auto outcome = Held(wanted, entry, waiter.ask, now);
      if (outcome && *outcome == nullptr) {
        outcome = std::unexpected(TooShort(entry.token == nullptr ? seconds(0) : entry.token->lifetime, entry.took,
                                           waiter.ask.minimum_validity));
      } else if (outcome) {
        NoteHad(entry, waiter.ask.minimum_validity, now);
      }
      calls.emplace_back(
          [done = std::move(waiter.done), outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
    }
    entry.waiters.clear();
  }
  for (auto& call : calls) {
    call();
  }
}

// The wait for the request's turn takes nothing of the token's life.
void AccessTokens::Keep(const Wanted& wanted, Entry& entry, Instant ordered, Bought bought) {
  const auto now = options_.now();
  const auto asked = bought.asked.value_or(ordered);
  auto token = std::make_shared<AccessToken>();
  token->digest = DigestOf(bought.token);
  token->value = std::move(bought.token);
  token->type = std::move(bought.type);
  token->scope = std::move(bought.scope);
  token->line = std::move(bought.line);
  token->lifetime = bought.lifetime;
  token->expires = ToldExpiry(asked + bought.lifetime);  // the server counts from a later instant
  entry.took = std::chrono::ceil<milliseconds>(now - asked);
  entry.waited = std::chrono::ceil<milliseconds>(now - ordered);
  entry.jitter = Jitter();
  entry.pause = {};
  if (IsRecorded(*token)) {
    Put(wanted.client_id, entry.before, nullptr);
  } else if (entry.before == nullptr || IsRecorded(*entry.token)) {  // else the one before serves on, not one as unsure
    Put(wanted.client_id, entry.before, entry.token);
  }
  Put(wanted.client_id, entry.token, std::move(token));
}

// Callers read whole seconds. Without this a token would be handed out with up to a second less than was asked for.
Instant AccessTokens::ToldExpiry(Instant expires) const {
  const auto wall =
      options_.wall() + std::chrono::duration_cast<std::chrono::system_clock::duration>(expires - options_.now());
  return expires - (wall - std::chrono::floor<seconds>(wall));
}

// Every token comes and goes here, so that a reader of the figures need not look at all of them.
void AccessTokens::Put(const std::string& client_id, AccessTokenPtr& place, AccessTokenPtr token) {
  auto& client = clients_[client_id];
  if (place != nullptr) {
    client.bought.erase(client.bought.find(BoughtAt(*place)));
    client.octets -= place->value.size();
    octets_ -= place->value.size();
  }
  if (token != nullptr) {
    client.bought.insert(BoughtAt(*token));
    client.octets += token->value.size();
    octets_ += token->value.size();
  }
  place = std::move(token);
}

void AccessTokens::Clear(const std::string& client_id, Entry& entry) {
  Put(client_id, entry.token, nullptr);
  Put(client_id, entry.before, nullptr);
}

// A token whose purchase the audit log will never hold counts as a purchase that failed: the one before it serves on.
void AccessTokens::DropUnrecorded(const Wanted& wanted, Entry& entry, Instant now, Calls& calls) {
  if (entry.token == nullptr || entry.token->line == nullptr) {
    return;
  }
  if (auto why = entry.token->line->WhyLost()) {
    Put(wanted.client_id, entry.token, entry.before);
    Put(wanted.client_id, entry.before, nullptr);
    Note(wanted, entry, {.error = *std::move(why), .of_client = true}, now, calls);
  } else if (entry.before != nullptr && IsRecorded(*entry.token)) {
    Put(wanted.client_id, entry.before, nullptr);
  }
}

// How often credentials were refused is remembered past the pause: else the next pause would be as short as the first.
void AccessTokens::DropExpired(Instant now) {
  for (auto one = entries_.begin(); one != entries_.end();) {
    auto& entry = one->second;
    if (entry.token != nullptr && entry.token->expires <= now) {
      Clear(one->first.client_id, entry);
    }
    const auto kept = entry.pause.until + (entry.pause.failures > 0 ? kLongestPause : seconds(0));
    one = entry.idle() && kept <= now ? Erase(one) : std::next(one);
  }
}

void AccessTokens::Note(const Wanted& wanted, Entry& entry, const Refusal& refusal, Instant now, Calls& calls) {
  if (!refusal.of_client && !refusal.queue_full) {
    pauses_.erase(wanted.client_id);  // over: the client as such is not refused
  }
  auto& pause = refusal.of_client ? pauses_[wanted.client_id] : entry.pause;
  pause.error = refusal.error;
  pause.caller = entry.buyer;
  pause.turned_away = false;
  pause.failures = refusal.by_credentials ? pause.failures + 1 : 0;
  milliseconds length = kProbe;
  for (int i = 1; i < pause.failures && length < kLongestPause; ++i) {
    length = std::min<milliseconds>(length * 2, kLongestPause);
  }
  length = std::max(length, std::min<milliseconds>(refusal.retry_after.value_or(milliseconds(0)), kMostRetryAfter));
  pause.until = now + length;
  if (refusal.of_client && std::exchange(failing_[wanted.client_id], refusal.error.message) != refusal.error.message &&
      options_.changed) {
    calls.emplace_back(
        [this, wanted, error = refusal.error] { options_.changed(wanted.client_id, std::unexpected(error)); });
  }
}

void AccessTokens::Sweep() {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    const auto now = options_.now();
    for (auto& [wanted, entry] : entries_) {
      DropUnrecorded(wanted, entry, now, calls);
      const auto ended = std::erase_if(entry.waiters, [&](Waiter& waiter) {
        const bool late = waiter.ask.deadline <= now;  // gRPC cancels at the deadline too
        if (!late && !(waiter.ask.gone && waiter.ask.gone())) {
          return false;
        }
        calls.emplace_back([done = std::move(waiter.done), late]() mutable {
          done(late ? Fail(Code::kDeadlineExceeded, "the identity server did not answer in time")
                    : Fail(Code::kCancelled, "the caller has left"));
        });
        return true;
      });
      if (ended > 0) {
        EndWaiting(wanted.client_id, ended);
      }
    }
    DropExpired(now);
  }
  for (auto& call : calls) {
    call();
  }
}

void AccessTokens::Forget(const IsOne& changed, const IsOne& removed) { End(changed, removed, AccessTokenPtr()); }

void AccessTokens::End(const IsOne& changed, const IsOne& removed, const Result<AccessTokenPtr>& outcome) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    for (auto one = entries_.begin(); one != entries_.end();) {
      if (!changed(one->first.client_id)) {
        ++one;
        continue;
      }
      EndWaiting(one->first.client_id, one->second.waiters.size());
      for (auto& waiter : one->second.waiters) {
        calls.emplace_back([done = std::move(waiter.done), outcome]() mutable { done(outcome); });
      }
      Clear(one->first.client_id, one->second);
      one = Erase(one);
    }
    std::erase_if(pauses_, [&](const auto& one) { return changed(one.first); });
    std::erase_if(failing_,
                  [&](const auto& one) { return removed(one.first); });  // the log has the last word of others
    std::erase_if(clients_, [&](const auto& one) { return one.second.entries == 0 && removed(one.first); });
  }
  for (auto& call : calls) {
    call();
  }
}

void AccessTokens::Close() {
  {
    const MutexLock lock(mutex_);
    closed_ = true;
  }
  End([](const std::string& /*client_id*/) { return true; }, [](const std::string& /*client_id*/) { return false; },
      std::unexpected(Stopping()));
}

std::size_t AccessTokens::size() const {
  const MutexLock lock(mutex_);
  return entries_.size();
}

std::map<std::string, Figures> AccessTokens::Read() const {
  const MutexLock lock(mutex_);
  const auto now = options_.now();
  std::map<std::string, Figures> all;
  for (const auto& [client_id, client] : clients_) {
    auto& figures = all[client_id] = client.counted;
    figures.held = client.bought.size();
    if (!client.bought.empty()) {
      figures.oldest = std::chrono::floor<milliseconds>(now - *client.bought.begin());
    }
    if (const auto found = pauses_.find(client_id); found != pauses_.end() && found->second.until > now) {
      figures.pause_left = std::chrono::ceil<milliseconds>(found->second.until - now);
    }
  }
  return all;
}

// In thousandths. No jitter when the generator fails: replicas then renew together.
std::int64_t AccessTokens::Jitter() const {
  constexpr std::uint64_t kThousandths = 1000;
  std::array<std::uint8_t, 4> octets{};
  if (!options_.random(octets)) {
    return 0;
  }
  std::uint64_t number = 0;
  for (const auto octet : octets) {
    number = number << 8U | octet;
  }
  return static_cast<std::int64_t>(number % kThousandths);
}

}  // namespace assertion::tokens
