#pragma once

#include <cstddef>
#include <vector>

#include "assertion/mutex.h"
#include "audit/event.h"
#include "audit/log.h"

namespace assertion {

// The audit lines of what the process itself does. A reload counts though the log cannot be written: a line that the
// log did not take is kept, and recorded once it can. All methods may be called from any thread.
class OwnActs {
 public:
  static constexpr std::size_t kMostKept = 100;  // then the oldest is dropped

  // The log is destroyed after ForgetLog.
  void SetLog(audit::Log* log);
  void ForgetLog() { SetLog(nullptr); }

  // Without a log nothing is recorded.
  void Record(const audit::Event& event);

  // Records what is kept. Called when the log can be written again.
  void RecordKept();

 private:
  void RecordIn(audit::Log& log, const audit::Event& event);
  void Keep(audit::Event event);
  audit::Log* log() const;

  mutable Mutex mutex_;
  audit::Log* log_ GUARDED_BY(mutex_) = nullptr;
  std::vector<audit::Event> kept_ GUARDED_BY(mutex_);
};

}  // namespace assertion
