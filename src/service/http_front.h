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
#include "service/local_socket.h"

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
// that connected, as the kernel knows it.
class HttpFront {
 public:
  // Binds the socket; nobody can connect before Start. The services must outlive it. kAddressUnusable.
  static Result<std::unique_ptr<HttpFront>> Bind(const FrontAddress& address, const AssertionService& assertions,
                                                 const AccessTokenService& access_tokens);

  // Stops at once if StopListening was not called. Waits for the calls that have begun.
  ~HttpFront();
  HttpFront(const HttpFront&) = delete;
  HttpFront& operator=(const HttpFront&) = delete;

  // At most `connections` at once, each for one request, half of them of one user. kAddressUnusable.
  Status Start(std::size_t connections);

  // Accepts no more connections, removes the socket, and gives requests under way this time. Returns at once.
  void StopListening(std::chrono::milliseconds grace);

 private:
  // Counts calls until they have ended.
  struct Calls {
    Mutex mutex;
    ConditionVariable ended;
    std::size_t open GUARDED_BY(mutex) = 0;
  };

  HttpFront(std::unique_ptr<LocalSocket> socket, const AssertionService& assertions,
            const AccessTokenService& access_tokens)
      : socket_(std::move(socket)), assertions_(assertions), access_tokens_(access_tokens) {}

  std::function<void()> Answer(const HttpRequest& request, HttpReply reply);
  std::shared_ptr<void> BeginCall();

  const std::unique_ptr<LocalSocket> socket_;
  const AssertionService& assertions_;
  const AccessTokenService& access_tokens_;
  Calls calls_;
  std::unique_ptr<HttpListener> listener_;
};

}  // namespace assertion::service
