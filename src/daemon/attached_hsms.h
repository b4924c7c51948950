#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "audit/log.h"
#include "config/config.h"
#include "daemon/attached_hsm.h"
#include "daemon/signals.h"
#include "observe/supervisor.h"
#include "p11/module.h"
#include "signing/hsm_group.h"

namespace assertion {

// The HSMs of the configuration, by rank. The first, and those that hold the keys of TLS and of the audit log, are
// there from the start; another that is not is looked for until it comes.
class AttachedHsms {
 public:
  using Watchers = std::function<AttachedHsm::Watchers(std::size_t rank, const std::string& name)>;

  // Both must outlive it.
  AttachedHsms(const Config& config, const Supervisor& supervisor) : config_(config), supervisor_(supervisor) {}
  ~AttachedHsms() { Rest(); }
  AttachedHsms(const AttachedHsms&) = delete;
  AttachedHsms& operator=(const AttachedHsms&) = delete;

  // All that are there. With `wait` those that a start needs may come later: CANCELLED when the process is told to stop
  // before. Whatever is wrong stops the start, except that one that it does not need is not there.
  Status Attach(bool wait, Signals& signals);

  const HsmGroup& group() const { return group_; }

  // From now on ledgers that are older than `log` has seen do not count, and it hears of those that do; until
  // ForgetLog, which must come before the log ends.
  void Remember(audit::Log& log);
  void ForgetLog();

  // From now on each is watched, and those that are missing are looked for.
  void Watch(Watchers watchers);

  // Ends what Watch began. Waits for calls into the HSMs that are under way.
  void Rest();

 private:
  using Token = std::unique_ptr<p11::HsmToken>;

  Result<Token> LogIn(std::size_t rank);
  Result<Token> WaitFor(std::size_t rank, Signals& signals);
  bool IsNeeded(std::size_t rank) const;
  Status Attach(std::size_t rank, Token token);
  Status TryToAttach(std::size_t rank);
  bool ServesAnother(std::size_t rank) const;
  AttachedHsm::Watchers WatchersOf(std::size_t rank);
  bool Found(std::size_t rank, std::string& reason);
  void Seek(const std::stop_token& stop);

  // The audit log, for threads that may outlive it.
  struct Witness {
    std::mutex mutex;
    audit::Log* log = nullptr;
  };

  void Remember(AttachedHsm& hsm);

  const Config& config_;
  const Supervisor& supervisor_;
  std::map<std::string, std::shared_ptr<p11::Module>> modules_;  // by path; C_Finalize comes last
  mutable std::mutex mutex_;
  std::map<std::size_t, std::unique_ptr<AttachedHsm>> attached_;  // by rank
  HsmGroup group_;
  const std::shared_ptr<Witness> witness_ = std::make_shared<Witness>();
  Watchers watchers_;
  std::map<std::size_t, std::string> missing_;  // by rank: why, as it was last logged
  std::jthread seeker_;
};

}  // namespace assertion
