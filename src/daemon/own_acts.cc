#include "daemon/own_acts.h"

#include <utility>

#include "assertion/clock.h"

namespace assertion {

void OwnActs::SetLog(audit::Log* log) {
  const MutexLock lock(mutex_);
  log_ = log;
}

audit::Log* OwnActs::log() const {
  const MutexLock lock(mutex_);
  return log_;
}

void OwnActs::Record(const audit::Event& event) {
  auto* const log = this->log();
  if (log == nullptr) {
    return;
  }
  RecordKept();
  RecordIn(*log, event);
  if (log->state()) {
    RecordKept();  // the log came back between its refusal and the keeping
  }
}

void OwnActs::RecordKept() {
  auto* const log = this->log();
  if (log == nullptr) {
    return;
  }
  std::vector<audit::Event> kept;
  {
    const MutexLock lock(mutex_);
    kept.swap(kept_);
  }
  for (const auto& event : kept) {
    RecordIn(*log, event);
  }
}

void OwnActs::RecordIn(audit::Log& log, const audit::Event& event) {
  log.Record(event, [this, event](const Status& recorded) {
    if (!recorded) {
      Keep(event);
    }
  });
}

// The line's own time will be later: it says since when the act counts.
void OwnActs::Keep(audit::Event event) {
  if (event.count == 0) {
    event.count = 1;
    event.since = Rfc3339(SystemTime());
  }
  const MutexLock lock(mutex_);
  if (kept_.size() == kMostKept) {
    kept_.erase(kept_.begin());
  }
  kept_.push_back(std::move(event));
}

}  // namespace assertion
