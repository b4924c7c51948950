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
  double rate;  // signatures per second with that many
};

// Measures with how many sessions the token signs fastest. Starts with `least` and doubles while that is a fifth
// faster, up to 64. Each trial takes 100 ms or three signatures a session, whichever is longer, on sessions that are
// closed afterwards. `key` is a CKA_ID. Empty when the token fails with `least` sessions, or `stop` was requested.
std::optional<Calibration> Calibrate(Token& token, const Bytes& key, const Algorithm& algorithm,
                                     const std::string& input, std::size_t least, const std::stop_token& stop);

}  // namespace assertion
