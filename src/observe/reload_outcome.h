#pragma once

#include <chrono>
#include <string>

#include "assertion/error.h"
#include "assertion/mutex.h"

namespace assertion {

// How the last reading of the configuration ended: the start's, then each reload's. All methods may be called from any
// thread.
class ReloadOutcome {
 public:
  using WallTime = std::chrono::system_clock::time_point;

  struct State {
    std::string refusal;  // why the last reload was refused, so that the configuration before is in force; empty: it
                          // was not
    WallTime succeeded;   // when the configuration in force was read
  };

  void Set(const Status& applied) {
    const MutexLock lock(mutex_);
    if (applied) {
      state_ = {.refusal = {}, .succeeded = std::chrono::system_clock::now()};
    } else {
      state_.refusal = applied.error().message;
    }
  }

  State Read() const {
    const MutexLock lock(mutex_);
    return state_;
  }

 private:
  mutable Mutex mutex_;
  State state_ GUARDED_BY(mutex_){.refusal = {}, .succeeded = std::chrono::system_clock::now()};
};

}  // namespace assertion
