#include "service/handshake_turns.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace assertion::service {

void HandshakeTurns::Wait(int fd, std::string counted, Instant since) {
  waiting_.push_back({.fd = fd, .counted = std::move(counted), .since = since});
}

void HandshakeTurns::Leave(int fd) {
  std::erase_if(waiting_, [fd](const Waiting& one) { return one.fd == fd; });
}

std::optional<int> HandshakeTurns::Overdue(Instant now) const {
  return !waiting_.empty() && waiting_.front().since + kTurnLimit <= now ? std::optional(waiting_.front().fd)
                                                                         : std::nullopt;
}

std::optional<int> HandshakeTurns::Next() {
  constexpr std::size_t kSources = 8;  // sources that may have as many handshakes as they want
  if (waiting_.empty() || under_way_.size() >= limit_) {
    return std::nullopt;
  }
  std::map<std::string_view, std::size_t> held;
  for (const auto& one : under_way_) {
    ++held[one.counted];
  }
  auto next = waiting_.end();
  auto fewest = std::max<std::size_t>(1, limit_ / kSources);
  for (auto turn = waiting_.begin(); turn != waiting_.end() && fewest > 0; ++turn) {
    const auto found = held.find(turn->counted);
    if (const auto count = found == held.end() ? 0 : found->second; count < fewest) {
      fewest = count;
      next = turn;
    }
  }
  if (next == waiting_.end()) {
    return std::nullopt;
  }
  const int fd = next->fd;
  waiting_.erase(next);
  return fd;
}

void HandshakeTurns::Begin(std::string peer, std::string counted, Instant now) {
  under_way_.push_back({.peer = std::move(peer), .counted = std::move(counted), .until = now + kHandshakeLimit});
}

bool HandshakeTurns::Fail(const std::string& peer, Instant now) {
  const Handshake* failed = nullptr;
  for (auto& one : under_way_) {
    if (one.peer == peer) {
      one.until = std::min(one.until, now + kFailureLimit);
      failed = &one;
    }
  }
  if (failed == nullptr) {
    return false;
  }
  std::erase_if(told_, [now](const auto& one) { return one.second + kTellingInterval <= now; });
  return told_.size() < kMostTold && told_.emplace(failed->counted, now).second;
}

void HandshakeTurns::Complete(const std::string& peer) {
  std::erase_if(under_way_, [&peer](const Handshake& one) { return one.peer == peer; });
}

void HandshakeTurns::Expire(Instant now) {
  std::erase_if(under_way_, [now](const Handshake& one) { return one.until <= now; });
}

}  // namespace assertion::service
