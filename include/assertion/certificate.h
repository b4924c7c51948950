#pragma once

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "assertion/public_key.h"

namespace assertion {

// An X.509 certificate (RFC 5280), as far as this project looks into it.
struct Certificate {
  Bytes der;
  PublicKey public_key;
  Time not_before;
  Time not_after;
};

}  // namespace assertion
