#include "service/strangers.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "observe/log.h"
#include "service/connection_limits.h"

namespace assertion::service {
namespace {

std::string PeerName(uid_t user) { return "uid:" + std::to_string(user); }

}  // namespace

Strangers::Strangers(std::size_t per_peer, std::function<bool(const std::string& peer)> listed)
    : listed_(std::move(listed)), coming_(RateOfStrangers(per_peer)) {}

bool Strangers::IsListed(uid_t user) const { return listed_(PeerName(user)); }

bool Strangers::LetIn(uid_t user, Instant now) {
  static SparingLog log;
  const auto peer = PeerName(user);
  if (listed_(peer)) {
    return true;
  }
  if (bans_.IsBanned(peer, now)) {
    return false;
  }
  const bool in_time = coming_.Take(peer, now).has_value();
  if (!in_time) {
    log.Write(spdlog::level::warn, "token_listen: a connection of " + peer + " is refused: it opens too many a second");
  }
  return in_time;
}

bool Strangers::Charge(uid_t user, Instant now) {
  static SparingLog log;
  const auto peer = PeerName(user);
  if (listed_(peer)) {
    return true;
  }
  if (bans_.IsBanned(peer, now)) {
    return false;
  }
  slices_.TakeEnded(now);
  if (slices_.Charge(0, 0, peer, now)) {  // which connection is busy does not matter here
    return true;
  }
  const auto length = bans_.Ban(peer, now);
  log.Write(spdlog::level::warn, "token_listen: " + peer + ", which is in no list, takes too much time: refused for " +
                                     std::to_string(length.count()) + " s");
  return false;
}

}  // namespace assertion::service
