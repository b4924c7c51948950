#pragma once

#include <chrono>

#include "assertion/mutex.h"

namespace assertion::p11 {

// When a piece of work of this process kept others waiting.
class HeldTime {
 public:
  // One piece of that work, while it lives.
  class [[nodiscard]] Span {
   public:
    explicit Span(HeldTime& time) : time_(time) {
      const MutexLock lock(time_.mutex_);
      ++time_.spans_;
    }
    ~Span() {
      const MutexLock lock(time_.mutex_);
      --time_.spans_;
      time_.until_ = std::chrono::steady_clock::now();
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    HeldTime& time_;
  };

  // The latest moment of any: now while one lives; the clock's epoch before the first.
  std::chrono::steady_clock::time_point Until() const {
    const MutexLock lock(mutex_);
    return spans_ > 0 ? std::chrono::steady_clock::now() : until_;
  }

 private:
  mutable Mutex mutex_;
  int spans_ GUARDED_BY(mutex_) = 0;
  std::chrono::steady_clock::time_point until_ GUARDED_BY(mutex_);
};

}  // namespace assertion::p11
