#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "observe/assertion_tally.h"
#include "policy/policy.h"
#include "service/connection_limits.h"
#include "service/grpc_limits.h"
#include "service/refusals.h"
#include "signing/hsm_group.h"

namespace assertion::service {

class Peers;

// Where kube-apiserver is served.
struct ExternalJwtAddress {
  std::string socket_path;            // a Unix domain socket of mode 0660
  std::optional<gid_t> socket_group;  // unset: the group of the process
};

// The gRPC server for kube-apiserver: ExternalJwtService and nothing else, on a socket of its own, so that neither
// socket offers what is on the other. All methods may be called from any thread.
class ExternalJwtServer {
 public:
  // Binds the socket; nobody can connect before Accept. All that is passed by reference or pointer must outlive the
  // server. kAddressUnusable.
  static Result<std::unique_ptr<ExternalJwtServer>> New(const ExternalJwtAddress& address, const CurrentPolicy& policy,
                                                        const HsmGroup& hsms, Peers& peers, Records audit,
                                                        AssertionTally* tally, const Limits& limits);

  // Stops at once if Stop was not called.
  ~ExternalJwtServer();
  ExternalJwtServer(const ExternalJwtServer&) = delete;
  ExternalJwtServer& operator=(const ExternalJwtServer&) = delete;

  // kAddressUnusable.
  Status Accept(ConnectionLimits connections);

  // Ends calls whose message has not come for so long.
  void EndCallsOlderThan(std::chrono::milliseconds age);

  // Ends the connections of peers that the policy does not admit. Returns their number.
  std::size_t EndStrangers();

  // Accepts no more connections and no more calls, and removes the socket.
  void StopListening();

  // Waits for running calls until `deadline`, then cancels them.
  void Stop(std::chrono::system_clock::time_point deadline);

 private:
  struct Parts;  // keeps gRPC's headers out of main

  explicit ExternalJwtServer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace assertion::service
