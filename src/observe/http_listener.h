#pragma once

#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "assertion/error.h"
#include "observe/readiness.h"
#include "signing/hsm_group.h"
#include "x509/server_context.h"

namespace assertion {

// Tells over HTTP/1.1, or HTTPS, what everybody may know; GET and HEAD only, one request a connection:
//
//   /clients/{client_id}/jwks.json        the JWK Set (RFC 7517), with Cache-Control and ETag (RFC 9111, RFC 9110)
//   /clients/{client_id}/certificate.pem  the chain of the key that signs now, leaf first; ?kid=… that of another key
//   /healthz                              200 as long as the process answers
//   /readyz                               200, or 503 and the reasons
//   /metrics                              in Prometheus' text format
class HttpListener {
 public:
  // Listens when it returns. `host` is an address or a name; port 0: one that the system chooses. kAddressUnusable.
  // `metrics` is asked for what /metrics tells. `tls` is asked at each connection; empty: plain HTTP. `hsms` and
  // `readiness` must outlive the listener.
  static Result<std::unique_ptr<HttpListener>> Start(const std::string& host, int port, const HsmGroup& hsms,
                                                     const Readiness& readiness,
                                                     std::function<std::vector<prometheus::MetricFamily>()> metrics,
                                                     std::function<x509::ServerContext()> tls = {});

  // Lets the requests in flight finish.
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  int port() const { return port_; }

 private:
  struct Parts;  // keeps httplib's header out of main

  HttpListener(std::unique_ptr<Parts> parts, int port);

  std::unique_ptr<Parts> parts_;
  const int port_;
};

}  // namespace assertion
