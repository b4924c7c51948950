#pragma once

#include <optional>

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "assertion/public_key.h"

namespace assertion {

// An X.509 certificate (RFC 5280), reduced to the fields that this project reads.
struct Certificate {
  Bytes der;
  std::optional<PublicKey> public_key;  // unset: a key type that this project does not sign with
  Time not_before;
  Time not_after;
};

}  // namespace assertion
