#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/kubernetes_signer.h"

namespace assertion {

// The claims of a Kubernetes service account token, vetted. kube-apiserver composes them, and they are signed octet for
// octet, so nothing may be in them that two readers could take in two ways.
struct ServiceAccountToken {
  static constexpr std::size_t kMostOctets = 16384;  // of the JSON

  std::string json;  // as kube-apiserver wrote it
  std::string subject;
  std::string audience;  // the one audience, or the JSON array of several
  std::string jti;       // empty: none
  Time issued_at;
  Time expires_at;

  // `segment` is the second part of the JWT. INVALID_ARGUMENT unless it is base64url of a JSON object with
  //   iss  the configured issuer
  //   sub  system:serviceaccount:NAMESPACE:NAME
  //   aud  a text, or a list of at least one, none empty
  //   iat, exp  whole seconds, at most the maximum lifetime apart; exp is later than `now`, and not later than a token
  //        may expire that is issued now: keys are published for so long
  //   jti  a text, if it is there
  // and with no second name for one of these that a reader might take for it, such as "Exp".
  static Result<ServiceAccountToken> Vet(const KubernetesSigner& signer, std::string_view segment, Time now);
};

}  // namespace assertion
