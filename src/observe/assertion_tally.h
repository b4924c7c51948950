#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "assertion/duration_histogram.h"
#include "assertion/mutex.h"

namespace assertion {

// Counts requested assertions and their outcomes, for monitoring. Threads count in separate parts, which a reader adds
// up.
class AssertionTally {
 public:
  struct Labels {
    std::string client_id;  // from the configuration; empty: the request named no configured client
    std::string algorithm;  // that signed; empty: none
    std::string outcome;    // a gRPC status code's name

    friend bool operator<(const Labels& left, const Labels& right) {
      return std::tie(left.client_id, left.algorithm, left.outcome) <
             std::tie(right.client_id, right.algorithm, right.outcome);
    }
  };

  // Counts one answer, sent `took` after the arrival of its request.
  void Count(std::string_view client_id, std::string_view algorithm, std::string_view outcome,
             std::chrono::steady_clock::duration took);

  std::map<Labels, std::uint64_t> counts() const;

  // Counts one refusal without an audit line of its own.
  void CountSuppressed() { ++suppressed_; }
  std::uint64_t suppressed() const { return suppressed_; }

  // Durations of answers with an assertion, or of refusals.
  const DurationHistogram& latency(bool released) const { return released ? released_ : refused_; }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  struct Less {
    using is_transparent = void;
    template <typename Left, typename Right>
    bool operator()(const Left& left, const Right& right) const {
      return left < right;
    }
  };
  struct alignas(64) Part {
    mutable Mutex mutex;  // contended only when two threads share the part
    std::map<Key, std::uint64_t, Less> counts GUARDED_BY(mutex);
  };

  std::array<Part, 16> parts_;
  DurationHistogram released_;
  DurationHistogram refused_;
  std::atomic<std::uint64_t> suppressed_ = 0;
};

// The labels of one answer that is still being made.
struct TalliedAnswer {
  AssertionTally* tally = nullptr;  // null: not counted
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  std::string client_id;       // from the configuration; empty: none
  std::string_view algorithm;  // that signed

  void Count(std::string_view outcome) const {
    if (tally != nullptr) {
      tally->Count(client_id, algorithm, outcome, std::chrono::steady_clock::now() - began);
    }
  }
};

}  // namespace assertion
