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
#include "policy/policy.h"
#include "service/connections.h"
#include "service/tls_options.h"
#include "signing/hsm_group.h"
#include "x509/server_context.h"

namespace assertion::service {

// How long things may last. The defaults are what the program promises; tests have less.
struct Limits {
  std::chrono::milliseconds connection_age = std::chrono::minutes(5);
  std::chrono::milliseconds connection_grace = std::chrono::seconds(10);  // for calls that are open then
  std::chrono::milliseconds stream_age = std::chrono::minutes(5);
  std::chrono::milliseconds message_wait = std::chrono::seconds(30);     // for a call's message, or a stream's first
  std::chrono::milliseconds refresh_interval = std::chrono::seconds(5);  // of who is believed, and who is connected
};

inline constexpr Rate kUsualRefusals{.per_second = 10, .burst = 100};

// Where the server listens, and for how much.
struct Addresses {
  std::string socket_path;            // a Unix domain socket of mode 0660
  std::optional<gid_t> socket_group;  // unset: the process's
  std::optional<TlsOptions> tls;      // unset: no TCP
  ConnectionLimits connections{};     // of the socket, and as many again over TLS
  Rate refusals = kUsualRefusals;     // that a peer is told one by one, and that are audited as such
};

// The gRPC server: both services, health (grpc.health.v1) and reflection, both open to everybody who may connect.
class Server {
 public:
  // Accepts calls when it returns. kAddressUnusable, kTlsUnusable. The core must outlive the server;
  // `audit` may be null: nothing is recorded then.
  // `tally` too: nothing is counted then. The pending changes are the first HSM's.
  static Result<std::unique_ptr<Server>> Start(Addresses addresses, const CurrentPolicy& policy, const HsmGroup& hsms,
                                               const AdministeredHsms& administered, audit::Log* audit,
                                               AssertionTally* tally = nullptr, Limits limits = {});

  // Stops if Stop was not called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Reads what TLS needs again (see TlsListener). Nothing to do without TLS.
  Status RefreshTls();

  // 0 without TLS.
  int tls_port() const;

  // The TLS key and certificate as they are now, for the HTTP listener. Null without TLS.
  x509::ServerContext tls_context() const;

  // Ends the connections, with whatever is open on them, of those who are revoked or whom the policy lists no more.
  // That is done every refresh_interval too.
  void EndConnectionsOfRemoved();

  // What grpc.health.v1 says of the whole; SERVING after Start.
  void SetServing(bool serving);

  // Takes no new calls, lets those in flight finish for at most `grace`, then cancels them. Removes the socket.
  void Stop(std::chrono::seconds grace);

 private:
  struct Parts;  // keeps gRPC's headers out of main

  explicit Server(std::unique_ptr<Parts> parts);
  void Watch(const Limits& limits);

  std::unique_ptr<Parts> parts_;
};

}  // namespace assertion::service
