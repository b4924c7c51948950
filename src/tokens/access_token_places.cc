// The part of AccessTokens that counts places: of tokens, of their octets, and of calls that wait.

#include <algorithm>
#include <utility>

#include "tokens/access_tokens.h"

namespace assertion::tokens {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kClearing{250};  // places are looked for no more often than this

std::size_t ShareOf(std::size_t most) { return std::max<std::size_t>(most / AccessTokens::kClientShare, 1); }

}  // namespace

// Entries that only pause make room. Expired ones leave at the next Sweep.
Status AccessTokens::FindPlace(const std::string& client_id, Client& client, Instant now) {
  const auto share = ShareOf(options_.most_tokens);
  if (client.entries >= share && now - client.cleared >= kClearing) {
    client.cleared = now;
    DropPausing(entries_.lower_bound({.client_id = client_id, .scope = {}, .resource = {}}), &client_id);
  }
  if (client.entries >= share) {
    return NoPlace(client, "too many different access tokens of this client are in use");
  }
  RETURN_IF_ERROR(FindOctets(client, 1));
  if (entries_.size() >= options_.most_tokens && now - cleared_ >= kClearing) {
    cleared_ = now;
    DropPausing(entries_.begin(), nullptr);
  }
  return entries_.size() < options_.most_tokens ? Status()
                                                : NoPlace(client, "too many different access tokens are in use");
}

Status AccessTokens::FindOctets(Client& client, std::size_t more) {
  return client.octets + more <= ShareOf(options_.most_octets) && octets_ + more <= options_.most_octets
             ? Status()
             : NoPlace(client,
                       "the access tokens in use are too large: no more fit into the memory that they may take");
}

Status AccessTokens::NoPlace(Client& client, const char* why) {
  ++client.counted.without_place;
  return std::unexpected(
      Error{.code = Code::kResourceExhausted, .message = why, .detail = {}, .retry_delay = milliseconds(kProbe)});
}

// Of this client, whose first entry is `one`; null: of all from there on.
void AccessTokens::DropPausing(Entries::iterator one, const std::string* client_id) {
  while (one != entries_.end() && (client_id == nullptr || one->first.client_id == *client_id)) {
    one = one->second.idle() ? Erase(one) : std::next(one);
  }
}

// The client's tokens that are bound to other keys: nobody asks for them any more.
void AccessTokens::DropReplaced(const Wanted& wanted, Client& client, Instant now) {
  if (!wanted.IsBound() || now - client.compared < kClearing) {
    return;
  }
  client.compared = now;
  auto one = entries_.lower_bound({.client_id = wanted.client_id, .scope = {}, .resource = {}});
  while (one != entries_.end() && one->first.client_id == wanted.client_id) {
    const bool busy = one->second.purchase != 0 || !one->second.waiters.empty();
    if (busy || one->first.kid == wanted.kid) {
      ++one;
    } else {
      Clear(one->first.client_id, one->second);
      one = Erase(one);
    }
  }
}

AccessTokens::Entries::iterator AccessTokens::Erase(Entries::iterator one) {
  --clients_[one->first.client_id].entries;
  return entries_.erase(one);
}

// Takes `ask` and `done` unless too many wait already.
Status AccessTokens::Wait(const std::string& client_id, Entry& entry, Ask& ask, Done& done) {
  auto& client = clients_[client_id];
  if (client.waiting >= ShareOf(options_.most_waiters)) {
    return NoPlace(client, "too many calls wait for access tokens of this client");
  }
  if (waiting_ >= options_.most_waiters) {
    return NoPlace(client, "too many calls wait for access tokens");
  }
  ++waiting_;
  ++client.waiting;
  entry.waiters.push_back({.ask = std::move(ask), .done = std::exchange(done, {})});
  return {};
}

void AccessTokens::EndWaiting(const std::string& client_id, std::size_t count) {
  waiting_ -= count;
  clients_[client_id].waiting -= count;
}

}  // namespace assertion::tokens
