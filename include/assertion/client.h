#pragma once

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "assertion/algorithm.h"

namespace assertion {

// An OAuth 2.0 client as the operator configured it: what may be asserted on its behalf.
struct Client {
  std::string client_id;               // iss and sub; VSCHAR only (RFC 6749 appendix A.1), 1 to 255
  std::vector<std::string> audiences;  // never empty; the first is the default
  bool audience_as_list = false;       // aud as a JSON array of one member instead of a string
  std::chrono::seconds default_lifetime{300};
  std::chrono::seconds max_lifetime{300};
  std::chrono::seconds clock_skew{0};  // what the identity server takes off exp; only for a warning at load
  const Algorithm* algorithm = kAlgorithms.data();
  std::set<std::string, std::less<>> extra_claims;  // names that a caller may add
};

}  // namespace assertion
