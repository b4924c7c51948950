#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "assertion/mutex.h"

namespace assertion {

// The part for revocation lists.
inline constexpr const char* kCrls = "crl_directory";

// Says if a call made now would be answered, and if not, why. Each part that can prevent answers reports its state
// under its name. All methods may be called from any thread.
class Readiness {
 public:
  using Reasons = std::map<std::string, std::string>;  // by part

  void SetReady(const std::string& part) { Set(part, {}, {}); }

  void SetNotReady(const std::string& part, std::string reason) { Set(part, std::move(reason), {}); }

  // Calls are answered, but they will not be for long unless somebody repairs the part.
  void SetWarning(const std::string& part, std::string warning) { Set(part, {}, std::move(warning)); }

  // `watcher` is called now and at every change, until another replaces it. It must not call a method that sets.
  void Watch(std::function<void(bool ready)> watcher) {
    const MutexLock notifying(notifying_);
    watcher_ = std::move(watcher);
    Notify();
  }

  // Empty: ready.
  Reasons reasons() const {
    const MutexLock lock(mutex_);
    return reasons_;
  }

  Reasons warnings() const {
    const MutexLock lock(mutex_);
    return warnings_;
  }

 private:
  void Set(const std::string& part, std::optional<std::string> reason, std::optional<std::string> warning) {
    const MutexLock notifying(notifying_);
    {
      const MutexLock lock(mutex_);
      Replace(reasons_, part, std::move(reason));
      Replace(warnings_, part, std::move(warning));
    }
    Notify();
  }

  static void Replace(Reasons& reasons, const std::string& part, std::optional<std::string> reason) {
    if (reason) {
      reasons[part] = std::move(*reason);
    } else {
      reasons.erase(part);
    }
  }

  void Notify() REQUIRES(notifying_) {
    if (watcher_) {
      watcher_(reasons().empty());
    }
  }

  Mutex notifying_;  // held while the watcher runs, which may take long: a probe does not wait for it
  std::function<void(bool)> watcher_ GUARDED_BY(notifying_);
  mutable Mutex mutex_;
  Reasons reasons_ GUARDED_BY(mutex_);
  Reasons warnings_ GUARDED_BY(mutex_);
};

}  // namespace assertion
