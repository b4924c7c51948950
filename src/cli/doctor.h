#pragma once

#include <string>
#include <vector>

#include "assertion/clock.h"
#include "config/config.h"

namespace assertion::cli {

// One line of a diagnosis.
struct Finding {
  std::string name;
  bool ok;
  std::string text;  // what was found, or what is wrong and what to do
};

// Looks at the HSM as assertiond would at its start, without a server: module, token, login (one attempt under the same
// rules), mechanisms, clock, and every client's key with its attributes and certificate. Stops where going on is
// pointless.
std::vector<Finding> Diagnose(const Config& config, Time now);

}  // namespace assertion::cli
