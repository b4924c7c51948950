#include "service/busy_slices.h"

#include <utility>

#include "assertion/rate.h"

namespace assertion::service {
namespace {

constexpr std::chrono::milliseconds kSlice{10};
constexpr Rate kSlices{.per_second = 10, .burst = 50};

}  // namespace

BusySlices::BusySlices() : budgets_(kSlices) {}

bool BusySlices::Charge(int fd, std::uint64_t number, const std::string& peer, Instant now) {
  if (busy_.empty()) {
    end_ = now + kSlice;
  }
  if (!charged_.contains(peer) && !budgets_.Take(peer, now)) {
    return false;
  }
  charged_.insert(peer);
  busy_[fd] = number;
  return true;
}

std::optional<BusySlices::Instant> BusySlices::end() const {
  return busy_.empty() ? std::nullopt : std::optional(end_);
}

std::map<int, std::uint64_t> BusySlices::TakeEnded(Instant now) {
  if (busy_.empty() || now < end_) {
    return {};
  }
  charged_.clear();
  return std::exchange(busy_, {});
}

}  // namespace assertion::service
