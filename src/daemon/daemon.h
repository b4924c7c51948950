#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "audit/log.h"
#include "config/config.h"
#include "daemon/attached_hsms.h"
#include "daemon/http_listeners.h"
#include "daemon/own_acts.h"
#include "daemon/reloading.h"
#include "daemon/signals.h"
#include "daemon/states.h"
#include "daemon/token_buyer.h"
#include "observe/assertion_tally.h"
#include "observe/metrics.h"
#include "observe/readiness.h"
#include "observe/reload_outcome.h"
#include "observe/supervisor.h"
#include "observe/tls_expiry.h"
#include "policy/policy.h"
#include "service/server.h"
#include "tokens/access_tokens.h"

namespace assertion {

// The running service: wires the parts in the order in which they need each other, serves until it is told to stop,
// and ends them in the reverse order: calls, then for each HSM its jobs, keys and login, then the modules.
class Daemon {
 public:
  // The time that a call into an HSM gets at the end.
  static constexpr std::chrono::seconds kHangLimit{2};

  // All arguments must outlive it. `config` is what the file `path` says.
  Daemon(const Config& config, std::string path, Signals& signals, const Supervisor& supervisor, Reloading& reloading);

  // Serves until SIGTERM or SIGINT. Returns the exit status. With `wait_for_token` waits for tokens that are absent.
  int Run(bool wait_for_token);

  // Ends the process because the orderly end takes too long: a reload or a call into the HSM does not return.
  [[noreturn]] static void EndHung(const Reloading& reloading);

 private:
  Status Start(bool wait_for_token);  // binds all addresses
  Status Serve();
  Status OpenAuditLog();
  Status BindServer();
  void WatchHsms();
  AttachedHsm::Watchers WatchersOf(std::size_t rank, const std::string& name);
  [[noreturn]] void EndHungForRestart() const;
  service::Addresses ServerAddresses();
  void RefreshTlsOf(std::size_t rank);
  void Reload(const Reloading::Read& read);
  Status Apply(const Reloading::Read& read);
  void WaitForStop();
  void Stop();
  void Record(const char* name, const Status& outcome, const std::string& difference);

  const Config& config_;
  Config in_force_;  // config_ with what reloads took over
  const std::string path_;
  Signals& signals_;
  const Supervisor& supervisor_;
  Reloading& reloading_;

  // Destroyed in the reverse of this order.
  AttachedHsms hsms_;
  CurrentPolicy policy_;
  Readiness readiness_;
  ReloadOutcome reload_outcome_;
  AssertionTally tally_;
  TlsExpiry tls_expiry_;
  OwnActs acts_;
  std::unique_ptr<audit::Log> audit_;  // null: the configuration turns it off
  std::optional<Metrics> metrics_;
  tokens::AccessTokens access_tokens_;
  TokenBuyer buyer_;  // its threads call access_tokens_
  std::unique_ptr<service::Server> server_;
  HttpListeners http_;
  TlsState tls_state_;
  HsmStates hsm_states_;
  TokenStates token_states_;
};

}  // namespace assertion
