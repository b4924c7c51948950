#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace assertion {

// Durations counted in buckets, for monitoring. Any thread may add or read without waiting; a reading may miss
// durations that are added at the same time.
class DurationHistogram {
 public:
  // Upper bounds of the buckets in microseconds: from less than any token needs to longer than any call may wait.
  static constexpr std::array<std::int64_t, 17> kBounds = {
      100,     250,     500,     1000,      2500,      5000,      10'000,     25'000,    50'000,
      100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000};

  struct Snapshot {
    std::array<std::uint64_t, kBounds.size() + 1>
        counts;  // per bucket, not cumulative; the last is for durations above all bounds
    double sum;  // seconds

    std::uint64_t total() const { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }
  };

  void Add(std::chrono::steady_clock::duration took) {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(kBounds, micros) - kBounds.begin());
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    micros_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 0)), std::memory_order_relaxed);
  }

  Snapshot Read() const {
    Snapshot snapshot{};
    std::ranges::transform(counts_, snapshot.counts.begin(),
                           [](const auto& count) { return count.load(std::memory_order_relaxed); });
    snapshot.sum = static_cast<double>(micros_.load(std::memory_order_relaxed)) / 1e6;
    return snapshot;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> micros_{0};
};

}  // namespace assertion
