#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/token.h"

namespace assertion {

struct Calibration {
  std::size_t sessions;
  double rate;  // signatures a second with so many
};

// With how many sessions the token signs fastest: beginning with `least`, twice as many are tried as long as that makes
// it a fifth faster, at most 64. Each trial takes 50 ms or three signatures a session, whichever is longer, on sessions
// that are closed afterwards; `key` is a CKA_ID. Nothing when the token fails with the least already, or `stop` was
// requested.
std::optional<Calibration> Calibrate(Token& token, const Bytes& key, const Algorithm& algorithm,
                                     const std::string& input, std::size_t least, const std::stop_token& stop);

}  // namespace assertion
