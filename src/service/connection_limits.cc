#include "service/connection_limits.h"

#include <sys/resource.h>

#include <algorithm>

namespace assertion::service {
namespace {

constexpr std::size_t kReserve = 256;      // descriptors that no connection takes
constexpr std::size_t kSelectable = 1024;  // select(2) knows no higher ones: left free where there are enough

std::size_t LimitOfDescriptors() {
  constexpr rlim_t kMost = 1U << 20U;
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(std::min(limit.rlim_cur, kMost))
                                               : kSelectable;
}

std::size_t FloorFor(const ConnectionLimits& limits) {
  const auto limit = LimitOfDescriptors();
  const auto wanted = limits.acceptors * (2 * limits.total + kMostLeftovers);
  return limit >= kSelectable + wanted ? kSelectable : std::min(kReserve, limit / 2);
}

}  // namespace

int LowestConnectionDescriptor(const ConnectionLimits& limits) { return static_cast<int>(FloorFor(limits)); }

std::size_t FittingConnections(const ConnectionLimits& limits) {
  const auto limit = LimitOfDescriptors();
  const auto taken = FloorFor(limits) + (limits.acceptors * kMostLeftovers);
  const auto room = limit > taken ? (limit - taken) / (2 * limits.acceptors) : 0;
  return std::min(limits.total, std::max<std::size_t>(1, room));
}

Rate RateOfStrangers(std::size_t per_peer) {
  constexpr std::int64_t kBursts = 4;
  constexpr std::int64_t kMost = 1'000'000;
  const auto each = static_cast<std::int64_t>(per_peer);
  return {.per_second = each, .burst = std::min(kMost, kBursts * each)};
}

}  // namespace assertion::service
