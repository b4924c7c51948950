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
    Change([&] {
      reasons_.erase(part);
      warnings_.erase(part);
    });
  }

  void SetNotReady(const std::string& part, std::string reason) {
    Change([&] {
      warnings_.erase(part);
      reasons_[part] = std::move(reason);
    });
  }

  // Calls are answered, but not for long unless somebody mends the part.
  void SetWarning(const std::string& part, std::string warning) {
    Change([&] {
      reasons_.erase(part);
      warnings_[part] = std::move(warning);
    });
  }

  // Told now and at every change, until another takes its place. Must not call this object's Set methods.
  void Watch(std::function<void(bool ready)> watcher) {
    Change([&] { watcher_ = std::move(watcher); });
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
  template <typename What>
  void Change(What what) {
    const std::lock_guard telling(telling_);
    bool ready = false;
    {
      const std::lock_guard lock(mutex_);
      what();
      ready = reasons_.empty();
    }
    if (watcher_) {
      watcher_(ready);
    }
  }

  std::mutex telling_;        // held while the watcher is told, which may take long: a probe does not wait for it
  mutable std::mutex mutex_;  // of the reasons and warnings
  Reasons reasons_;
  Reasons warnings_;
  std::function<void(bool)> watcher_;
};

}  // namespace assertion
