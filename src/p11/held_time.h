#pragma once

#include <algorithm>
#include <chrono>

#include "assertion/mutex.h"

namespace assertion::p11 {

// When a piece of work of this process kept others waiting: one that takes longer than kLongest hangs.
class HeldTime {
 public:
  static constexpr std::chrono::seconds kLongest{10};

  // One piece of that work, while it lives.
  class [[nodiscard]] Span {
   public:
    explicit Span(HeldTime& time) : time_(time) {
      const MutexLock lock(time_.mutex_);
      if (time_.spans_++ == 0) {
        time_.began_ = std::chrono::steady_clock::now();
      }
    }
    ~Span() {
      const MutexLock lock(time_.mutex_);
      time_.until_ = time_.Now();
      --time_.spans_;
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    HeldTime& time_;
  };

  // The latest moment of any: now while one lives; the clock's epoch before the first.
  std::chrono::steady_clock::time_point Until() const {
    const MutexLock lock(mutex_);
    return spans_ > 0 ? Now() : until_;
  }

 private:
  std::chrono::steady_clock::time_point Now() const REQUIRES(mutex_) {
    return std::min(std::chrono::steady_clock::now(), began_ + kLongest);
  }

  mutable Mutex mutex_;
  int spans_ GUARDED_BY(mutex_) = 0;
  std::chrono::steady_clock::time_point began_ GUARDED_BY(mutex_);  // the first of those that live
  std::chrono::steady_clock::time_point until_ GUARDED_BY(mutex_);
};

}  // namespace assertion::p11
