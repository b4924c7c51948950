#include "service/peer_bans.h"

#include <algorithm>
#include <cstddef>

namespace assertion::service {
namespace {

constexpr std::chrono::seconds kShortestBan{10};
constexpr std::chrono::seconds kLongestBan{300};
constexpr std::size_t kMostBans = 4096;  // then those that have been over for their own length are forgotten

}  // namespace

std::chrono::seconds PeerBans::Ban(const std::string& peer, Instant now) {
  const auto is_forgotten = [now](const Entry& ban) { return ban.until + ban.length < now; };
  if (bans_.size() >= kMostBans) {
    std::erase_if(bans_, [&](const auto& one) { return is_forgotten(one.second); });
  }
  auto& ban = bans_[peer];
  ban.length = ban.length.count() == 0 || is_forgotten(ban) ? kShortestBan : std::min(2 * ban.length, kLongestBan);
  ban.until = now + ban.length;
  return ban.length;
}

bool PeerBans::IsBanned(const std::string& peer, Instant now) const {
  const auto found = bans_.find(peer);
  return found != bans_.end() && now < found->second.until;
}

}  // namespace assertion::service
