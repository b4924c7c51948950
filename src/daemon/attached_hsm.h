#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "audit/ledger_version.h"
#include "config/config.h"
#include "keys/administered_hsm.h"
#include "keys/key_custodian.h"
#include "keys/key_ring.h"
#include "observe/key_log.h"
#include "p11/hsm_token.h"
#include "signing/hsm_group.h"
#include "signing/recovery.h"
#include "signing/signing_queue.h"
#include "x509/certifier.h"

namespace assertion {

// One HSM of the configuration in use: the parts that read, change and schedule its keys, sign with them, and watch it.
class AttachedHsm {
 public:
  // Callbacks on threads of the HSM. See Recovery and KeyRing::KeepFresh.
  struct Watchers {
    std::function<void(const Status&)> changed;
    std::function<void()> refreshed;
    std::function<bool()> may_reload;
    std::function<void()> hung;
  };

  // Reads and proves the keys on a token that this process is logged in to. `originals` is the key ring of the first
  // HSM; null for the first itself.
  static Result<std::unique_ptr<AttachedHsm>> Attach(std::unique_ptr<p11::HsmToken> token, const Config& config,
                                                     std::size_t rank, const KeyRing* originals);

  const std::string& name() const { return name_; }
  Hsm parts() const { return {name_, *token_, *keys_, *queue_}; }
  AdministeredHsm administered() const { return {name_, *token_, *keys_, *custodian_, pending_file_}; }

  // Refuses ledgers older than those that the audit log has seen on this token, and calls `record` for those in use.
  void Remember(const std::vector<audit::LedgerVersion>& seen, std::function<void(const audit::LedgerVersion&)> record);

  void Watch(Watchers watchers);

  // Ends the threads that Watch started. Waits for their calls into the HSM.
  void StopWatching();

 private:
  AttachedHsm() = default;
  void MeasureSessions();
  void TellWhatWasLearnt();

  std::string name_;
  std::string pending_file_;  // see AdministeredHsm
  std::chrono::seconds refresh_interval_{};
  std::unique_ptr<p11::HsmToken> token_;
  std::unique_ptr<x509::Certifier> certifier_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<KeyRing> keys_;
  std::unique_ptr<KeyCustodian> custodian_;
  std::unique_ptr<SigningQueue> queue_;
  std::optional<KeyLog> key_log_;
  std::set<std::string, std::less<>> told_;  // what the log has said of templates and custody
  std::optional<Recovery> recovery_;
  std::atomic<bool> measures_sessions_ = false;  // once more
  std::jthread measuring_;
};

}  // namespace assertion
