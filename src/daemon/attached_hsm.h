#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "audit/ledger_version.h"
#include "config/config.h"
#include "keys/key_custodian.h"
#include "keys/key_ring.h"
#include "observe/key_log.h"
#include "p11/hsm_token.h"
#include "signing/hsm_group.h"
#include "signing/recovery.h"
#include "signing/signing_queue.h"
#include "x509/certifier.h"

namespace assertion {

// One of the configuration's HSMs at work: what reads, changes and schedules its keys, signs with them, and watches it.
// The others' `originals` is the ring of the first.
class AttachedHsm {
 public:
  // What the rest of the process hears of it, on threads of its own. See Recovery and KeyRing::KeepFresh.
  struct Watchers {
    std::function<void(const Status&)> changed;
    std::function<void(const Status&)> refreshed;
    std::function<bool()> may_reload;
    std::function<void()> hung;
  };

  // Reads and proves the keys on a token that this process is logged in to.
  static Result<std::unique_ptr<AttachedHsm>> Attach(std::unique_ptr<p11::HsmToken> token, const Config& config,
                                                     std::size_t rank, const KeyRing* originals);

  const std::string& name() const { return name_; }
  Hsm parts() const { return {name_, *token_, *keys_, *custodian_, *queue_}; }

  // Refuses ledgers older than those that the audit log has seen on this token, and has `record` told of those in use.
  void Remember(const std::vector<audit::LedgerVersion>& seen, std::function<void(const audit::LedgerVersion&)> record);

  void Watch(Watchers watchers);

  // Ends what Watch began. Waits for calls into the HSM that are under way.
  void Rest();

 private:
  AttachedHsm() = default;
  void MeasureSessions();

  std::string name_;
  std::chrono::seconds refresh_interval_{};
  std::unique_ptr<p11::HsmToken> token_;
  std::unique_ptr<x509::Certifier> certifier_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<KeyRing> keys_;
  std::unique_ptr<KeyCustodian> custodian_;
  std::unique_ptr<SigningQueue> queue_;
  std::optional<KeyLog> key_log_;
  std::optional<Recovery> recovery_;
  bool measures_sessions_ = false;  // still to be done; then KeepFresh's thread alone
  std::jthread measuring_;
};

}  // namespace assertion
