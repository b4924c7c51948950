#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "assertion/descriptor.h"
#include "assertion/error.h"
#include "cli/loopback_listener.h"

namespace assertion::cli {

// The redirection endpoint of one log-in on a loopback port (RFC 8252 section 7.3).
class RedirectListener {
 public:
  // `redirect_uri` is http://127.0.0.1[:PORT]/PATH; port 0 or none: one that the system chooses. INVALID_ARGUMENT.
  static Result<RedirectListener> Open(const std::string& redirect_uri);

  // Includes the port.
  const std::string& redirect_uri() const { return redirect_uri_; }

  // Waits for the browser and returns the query. Refuses all but GET of the one path. kDeadlineExceeded: nobody came.
  // Errors of LoopbackListener::Next.
  Result<std::string> Wait(std::chrono::seconds limit, const std::stop_token& given_up);

  // Answers the browser and closes.
  void Answer(const std::string& page);

 private:
  RedirectListener(LoopbackListener listener, std::string path);

  LoopbackListener listener_;
  std::string path_;
  std::string redirect_uri_;
  Descriptor browser_;
};

}  // namespace assertion::cli
