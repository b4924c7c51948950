#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "assertion/rate.h"
#include "audit/log.h"
#include "keys/administered_hsm.h"
#include "observe/assertion_tally.h"
#include "observe/reload_outcome.h"
#include "policy/policy.h"
#include "service/connection_limits.h"
#include "service/external_jwt_server.h"
#include "service/grpc_limits.h"
#include "service/http_front.h"
#include "service/tls_options.h"
#include "signing/hsm_group.h"
#include "tokens/access_tokens.h"
#include "x509/server_context.h"

namespace assertion::service {

inline constexpr Rate kUsualRefusals{.per_second = 10, .burst = 100};

// Where the server listens, and its limits.
struct Addresses {
  std::string socket_path;                            // a Unix domain socket of mode 0660
  std::optional<gid_t> socket_group;                  // unset: the group of the process
  std::optional<TlsOptions> tls;                      // unset: no TCP
  std::optional<ExternalJwtAddress> kubernetes = {};  // unset: no kube-apiserver is served
  std::optional<FrontAddress> front = {};             // unset: no HTTP front
  ConnectionLimits connections{};                     // for each socket, and the same again for TLS
  Rate refusals = kUsualRefusals;                     // per peer, answered with their reason and audited one by one
};

// The gRPC server: our services, Envoy's ext_authz, and health (grpc.health.v1) and reflection, which are open to every
// peer that may connect. Beside it, if configured, the server for kube-apiserver and the HTTP front.
class Server {
 public:
  // Binds all addresses, and answers nobody before Accept. All that is passed by reference or pointer must outlive the
  // server. `audit` null: nothing is recorded. `tally` null: nothing is counted. `tokens` null: no access tokens are
  // handed out. `reload` null: ListKeys tells of no reload. kAddressUnusable, kTlsUnusable.
  static Result<std::unique_ptr<Server>> Bind(Addresses addresses, const CurrentPolicy& policy, const HsmGroup& hsms,
                                              const AdministeredHsms& administered, audit::Log* audit,
                                              AssertionTally* tally = nullptr, Limits limits = {},
                                              tokens::AccessTokens* tokens = nullptr,
                                              const ReloadOutcome* reload = nullptr);

  // Accepts calls from now on; called once.
  Status Accept();

  // Bind and Accept.
  static Result<std::unique_ptr<Server>> Start(Addresses addresses, const CurrentPolicy& policy, const HsmGroup& hsms,
                                               const AdministeredHsms& administered, audit::Log* audit,
                                               AssertionTally* tally = nullptr, Limits limits = {},
                                               tokens::AccessTokens* tokens = nullptr,
                                               const ReloadOutcome* reload = nullptr);

  // Stops at once if Stop was not called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // TlsListener::Refresh. Does nothing without TLS.
  Status RefreshTls();

  // 0 without TLS.
  int tls_port() const;

  // The current TLS key and certificate, for the HTTP listener. Null without TLS.
  x509::ServerContext tls_context() const;

  // Ends the connections, and the calls on them, of peers that are revoked or no longer listed. The server also does
  // this every refresh_interval.
  void EndConnectionsOfRemoved();

  // KeyAdminService::RemoveExpiredChanges.
  void RemoveExpiredChanges();

  // The status of grpc.health.v1 for the server as a whole; SERVING after Accept.
  void SetServing(bool serving);

  // Refuses new calls, waits for running ones for at most `grace`, then cancels them. Removes the socket.
  void Stop(std::chrono::seconds grace);

 private:
  struct Parts;  // keeps gRPC's headers out of main

  Server(std::unique_ptr<Parts> parts, ConnectionLimits connections, const Limits& limits);
  void Watch();

  const ConnectionLimits connections_;
  const Limits limits_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace assertion::service
