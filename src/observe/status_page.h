#pragma once

#include <string>
#include <vector>

#include "observe/readiness.h"

namespace assertion {

// What GET / shows people: nothing that /readyz, /metrics and the JWK Sets do not tell.
struct StatusPage {
  bool shows_readiness = false;  // with links to the probes and the metrics
  Readiness::Reasons reasons = {};
  Readiness::Reasons warnings = {};
  bool shows_publications = false;
  std::vector<std::string> client_ids = {};  // empty: they are not told here

  // HTML without a script.
  std::string Html() const;

  // The Content-Security-Policy for it: its own style, and nothing else.
  static std::string Policy();
};

}  // namespace assertion
