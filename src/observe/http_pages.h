#pragma once

#include <prometheus/metric_family.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "observe/http_message.h"
#include "observe/readiness.h"
#include "signing/hsm_group.h"

namespace assertion {

// The resources of the HTTP interface, for GET and HEAD only:
//
//   /clients/{client_id}/jwks.json        the JWK Set (RFC 7517), with Cache-Control and ETag (RFC 9111, RFC 9110), as
//                                         application/jwk-set+json if Accept names that, else as application/json,
//                                         which every reader takes
//   /clients/{client_id}/certificate.pem  the chain of the key that signs now, leaf first; ?kid=… that of another key
//   /                                     a page for people, if Accept names text/html: see StatusPage
//   /healthz                              200 as long as the process answers
//   /readyz                               200, or 503 and the reasons
//   /metrics                              in Prometheus' text format
//
// A misdirected request gets no page that names clients or tells what fails.
class HttpPages {
 public:
  enum class Part { kAll, kPublications, kProbes };

  // `metrics` returns the values for /metrics. `hsms` and `readiness` must outlive the pages.
  HttpPages(Part part, const HsmGroup& hsms, const Readiness& readiness,
            std::function<std::vector<prometheus::MetricFamily>()> metrics)
      : part_(part), hsms_(hsms), readiness_(readiness), metrics_(std::move(metrics)) {}

  // May be called from any thread.
  HttpAnswer Answer(const HttpRequest& request) const;

  // True if the answer is made without delay, so that an event loop may make it.
  static bool IsQuick(const HttpRequest& request);

 private:
  HttpAnswer AnswerJwks(const std::string& client_id, const HttpRequest& request) const;
  HttpAnswer AnswerCertificate(const std::string& client_id, const std::string& kid, const HttpRequest& request) const;
  HttpAnswer AnswerReadiness() const;
  HttpAnswer AnswerStatus() const;
  HttpAnswer AnswerProbe(const std::string& path) const;

  const Part part_;
  const HsmGroup& hsms_;
  const Readiness& readiness_;
  const std::function<std::vector<prometheus::MetricFamily>()> metrics_;
};

}  // namespace assertion
