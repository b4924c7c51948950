#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "assertion/algorithm.h"

namespace assertion {

// The service account tokens of one Kubernetes cluster, as the operator configured them: which keys sign them, which
// kube-apiserver may ask, and what they may say.
struct KubernetesSigner {
  static constexpr std::chrono::seconds kShortestMaxLifetime{600};  // kube-apiserver refuses less
  static constexpr std::chrono::seconds kLongestMaxLifetime = std::chrono::hours(365 * 24);  // and asks for no more
  static constexpr std::chrono::seconds kClockSkew{60};  // of kube-apiserver and of what verifies the tokens

  // True if kube-apiserver accepts signatures of the algorithm.
  static constexpr bool Takes(const Algorithm& algorithm) {
    constexpr std::array<std::string_view, 4> kNames = {"RS256", "ES256", "ES384", "ES512"};
    return std::ranges::find(kNames, algorithm.name) != kNames.end();
  }

  std::string client_id;  // a client without callers, whose keys sign nothing else
  std::string caller;     // the one identity that is served: "uid:…"
  std::string issuer;     // iss of every token
  std::chrono::seconds max_lifetime = std::chrono::hours(24);

  friend bool operator==(const KubernetesSigner&, const KubernetesSigner&) = default;
};

}  // namespace assertion
