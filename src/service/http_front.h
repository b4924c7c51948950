#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "observe/http_listener.h"
#include "policy/policy.h"
#include "service/connection_limits.h"
#include "service/local_socket.h"
#include "service/refusals.h"
#include "service/strangers.h"
#include "service/translated_call.h"

namespace assertion::service {

class AccessTokenService;
class AssertionService;

// Where the HTTP front listens.
struct FrontAddress {
  std::string socket_path;            // a Unix domain socket of mode 0660
  std::optional<gid_t> socket_group;  // unset: the group of the process
};

// GetAccessToken and CreateAssertion for programs without gRPC, over HTTP/1.1 on a Unix domain socket:
//
//   GET /clients/{client_id}/token?scope=…&resource=…&minimum_validity=…
//   GET /clients/{client_id}/assertion?audience=…
//
// It only translates: callers, policy, budgets and audit lines are those of the services. The caller is the process
// that connected, as the kernel knows it. A request that is neither of the two, and what is neither HTTP/1.1 nor
// HTTP/1.0, is refused as one of them would be: it takes from the same budget and has an audit line. Users that the
// configuration does not list have budgets (Strangers) and make room for those that it lists (Visitors).
class HttpFront {
 public:
  // What it translates for. All must outlive it.
  struct Services {
    const CurrentPolicy& policy;
    const AssertionService& assertions;
    const AccessTokenService& access_tokens;
    Records records;
  };

  // Binds the socket; nobody can connect before Start. kAddressUnusable.
  static Result<std::unique_ptr<HttpFront>> Bind(const FrontAddress& address, Services services);

  // Stops at once if StopListening was not called. Waits for the calls that have begun.
  ~HttpFront();
  HttpFront(const HttpFront&) = delete;
  HttpFront& operator=(const HttpFront&) = delete;

  // Connections are for one request each. Half of them may be one user's. kAddressUnusable.
  Status Start(const ConnectionLimits& limits);

  // Accepts no more connections, removes the socket, and gives requests under way this time. Returns at once.
  void StopListening(std::chrono::milliseconds grace);

 private:
  // Counts calls until they have ended.
  struct Calls {
    Mutex mutex;
    ConditionVariable ended;
    std::size_t open GUARDED_BY(mutex) = 0;
  };

  HttpFront(std::unique_ptr<LocalSocket> socket, Services services) : socket_(std::move(socket)), services_(services) {}

  std::optional<uid_t> LetIn(int fd);
  std::function<void()> Answer(const HttpRequest& request, HttpReply reply);
  void Refuse(TranslatedCall translated, Error why) const;
  std::shared_ptr<void> BeginCall();

  const std::unique_ptr<LocalSocket> socket_;
  const Services services_;
  std::optional<Strangers> strangers_;  // since Start, used by the listener's thread
  Calls calls_;
  std::unique_ptr<HttpListener> listener_;
};

}  // namespace assertion::service
