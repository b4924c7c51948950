#pragma once

#include <set>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "cli/console/metrics_text.h"
#include "oauth/http.h"

namespace assertion::cli {

// An HSM as /metrics shows it.
struct MonitoredHsm {
  std::string label;
  bool usable;
  long waiting;  // jobs in its queue
  long capacity;
  long busy;  // sessions that sign
  long open;
  long failures;
};

// Until when a file of TLS is valid.
struct TlsEnd {
  std::string file;  // a field of tls in the configuration: certificate, client_ca
  Time end;
};

// What the server's probe listener tells: /readyz and /metrics.
struct Monitored {
  bool ready;
  std::vector<std::string> reasons;  // why it is not ready, or warnings
  std::vector<MonitoredHsm> hsms;
  std::vector<TlsEnd> tls_ends = {};  // NOLINT(readability-redundant-member-init): none without TLS
};

// Asks the listener at `origin`, each time for at most 5 s. `ca_file`: see oauth::Exchange.
Result<Monitored> AskMonitor(const std::string& origin, const std::string& ca_file);

// Those that assertiond_tls_certificate_not_after_seconds tells.
std::vector<TlsEnd> TlsEnds(const std::vector<MetricSample>& samples);

// The labels of those that do not sign.
std::set<std::string> LostHsms(const Monitored& monitored);

// The parts that /readyz answers, without the line that says no more than "ready".
std::vector<std::string> ReadinessLines(const std::string& body);

}  // namespace assertion::cli
