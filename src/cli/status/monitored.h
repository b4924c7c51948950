#pragma once

#include <string>
#include <vector>

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

// What the server's probe listener tells: /readyz and /metrics.
struct Monitored {
  bool ready;
  std::vector<std::string> reasons;  // why it is not ready, or warnings
  std::vector<MonitoredHsm> hsms;
};

// Asks the listener at `origin`, each time for at most 5 s. `ca_file`: see oauth::Exchange.
Result<Monitored> AskMonitor(const std::string& origin, const std::string& ca_file);

// The parts that /readyz answers, without the line that says no more than "ready".
std::vector<std::string> ReadinessLines(const std::string& body);

}  // namespace assertion::cli
