#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace assertion {

// The part that is about revocation lists.
inline constexpr const char* kCrls = "crl_directory";

// Whether a call made now would be answered, and if not, why. Each part that can stand in the way says so under its
// name. All methods may be called from any thread.
class Readiness {
 public:
  using Reasons = std::map<std::string, std::string>;  // by part

  void SetReady(const std::string& part) {
    const std::lock_guard lock(mutex_);
    reasons_.erase(part);
    warnings_.erase(part);
    Tell();
  }

  void SetNotReady(const std::string& part, std::string reason) {
    const std::lock_guard lock(mutex_);
    warnings_.erase(part);
    reasons_[part] = std::move(reason);
    Tell();
  }

  // Calls are answered, but not for long unless somebody mends the part.
  void SetWarning(const std::string& part, std::string warning) {
    const std::lock_guard lock(mutex_);
    reasons_.erase(part);
    warnings_[part] = std::move(warning);
    Tell();
  }

  // Told now and at every change, until another takes its place. Must not call this object.
  void Watch(std::function<void(bool ready)> watcher) {
    const std::lock_guard lock(mutex_);
    watcher_ = std::move(watcher);
    Tell();
  }

  // Empty: ready.
  Reasons reasons() const {
    const std::lock_guard lock(mutex_);
    return reasons_;
  }

  Reasons warnings() const {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }

 private:
  void Tell() const {
    if (watcher_) {
      watcher_(reasons_.empty());
    }
  }

  mutable std::mutex mutex_;
  Reasons reasons_;
  Reasons warnings_;
  std::function<void(bool)> watcher_;
};

}  // namespace assertion
