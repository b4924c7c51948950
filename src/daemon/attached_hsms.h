#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "assertion/mutex.h"
#include "audit/log.h"
#include "config/config.h"
#include "daemon/attached_hsm.h"
#include "daemon/signals.h"
#include "keys/administered_hsm.h"
#include "observe/supervisor.h"
#include "p11/modules.h"
#include "signing/hsm_group.h"

namespace assertion {

// The HSMs of the configuration, by rank. A start needs the first one and those that hold the keys of TLS and of the
// audit log; another that is absent is looked for until it comes.
class AttachedHsms {
 public:
  using Watchers = std::function<AttachedHsm::Watchers(std::size_t rank, const std::string& name)>;

  // Says why the HSM of this rank cannot be used yet; an empty text: it can be used now. On any thread.
  using Absence = std::function<void(std::size_t rank, const std::string& why)>;

  // Both must outlive it.
  AttachedHsms(const Config& config, const Supervisor& supervisor) : config_(config), supervisor_(supervisor) {}
  ~AttachedHsms() { StopWatching(); }
  AttachedHsms(const AttachedHsms&) = delete;
  AttachedHsms& operator=(const AttachedHsms&) = delete;

  // Attaches all HSMs that are present. With `wait` it waits for those that a start needs; CANCELLED when the process
  // is stopped meanwhile. Every error fails the start, except the absence of an HSM that a start does not need.
  Status Attach(bool wait, Signals& signals);

  const HsmGroup& group() const { return group_; }

  // The HSMs that are there now, by rank, for administration of their keys.
  std::vector<AdministeredHsm> administered() const;

  // From now on ledgers older than those in `log` are refused, and those in use are recorded there. Call ForgetLog
  // before the log is destroyed.
  void Remember(audit::Log& log);
  void ForgetLog();

  // Watches each HSM from now on, and looks for the absent ones: at least every 5 s, and where that takes a reload of a
  // module whose other token signs, as rarely as for missing objects (see ReloadPause).
  void Watch(Watchers watchers, Absence absence);

  // Ends the threads that Watch started. Waits for their calls into the HSMs.
  void StopWatching();

 private:
  using Token = std::unique_ptr<p11::HsmToken>;

  // An HSM that a start does not need and that was not there.
  struct Missing {
    std::string logged;  // why, as it was logged last
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point logged_at = since;
    std::chrono::steady_clock::time_point reloaded_at = {};
  };

  Result<Token> LogIn(std::size_t rank, int reloads);
  Result<Token> WaitFor(std::size_t rank, Signals& signals);
  bool IsNeededToStart(std::size_t rank) const;
  Status Attach(std::size_t rank, Token token);
  bool ServesAnother(std::size_t rank) const;
  AttachedHsm::Watchers WatchersOf(std::size_t rank);
  int ReloadsFor(std::size_t rank, Missing& missing) const;
  bool AttachMissing(std::size_t rank, Missing& missing);
  void LookForMissing(const std::stop_token& stop);

  // The audit log, for threads that may outlive it.
  struct Witness {
    Mutex mutex;
    audit::Log* log GUARDED_BY(mutex) = nullptr;
  };

  void Remember(AttachedHsm& hsm);

  const Config& config_;
  const Supervisor& supervisor_;
  p11::Modules modules_;  // destroyed last
  mutable Mutex mutex_;
  // By rank. One thread at a time adds to it, under the mutex: that of Attach, later that of LookForMissing. It reads
  // without the mutex, other threads with it.
  std::map<std::size_t, std::unique_ptr<AttachedHsm>> attached_;
  HsmGroup group_;
  const std::shared_ptr<Witness> witness_ = std::make_shared<Witness>();
  Watchers watchers_;
  Absence absence_;
  std::map<std::size_t, Missing> missing_;  // by rank
  std::jthread seeker_;
};

}  // namespace assertion
