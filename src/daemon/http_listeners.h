#pragma once

#include <memory>
#include <string>

#include "assertion/error.h"
#include "config/config.h"
#include "observe/http_listener.h"
#include "observe/metrics.h"
#include "observe/readiness.h"
#include "service/server.h"
#include "signing/hsm_group.h"

namespace assertion {

// A host as it stands before a port (RFC 3986 section 3.2.2).
std::string InBrackets(const std::string& host);

// Each is null when the configuration does not name it.
struct HttpListeners {
  std::unique_ptr<HttpListener> published;  // http_listen: JWK Sets, certificates; the rest too where `admin` is null
  std::unique_ptr<HttpListener> admin;      // admin_listen: probes and metrics

  // All arguments must outlive the listeners. kAddressUnusable.
  static Result<HttpListeners> Start(const Config& config, const HsmGroup& hsms, const Readiness& readiness,
                                     const Metrics& metrics, const service::Server& server);
};

}  // namespace assertion
