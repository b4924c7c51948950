#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "assertion/bytes.h"
#include "assertion/error.h"

namespace assertion {

// Fills the span with random octets; false when the generator fails.
using Random = std::function<bool(std::span<std::uint8_t>)>;

// 16 octets that nobody guesses and nobody else draws: a CKA_ID, or a name for what is kept. kInternal.
inline Result<Bytes> RandomId(const Random& random) {
  constexpr std::size_t kOctets = 16;
  Bytes id(kOctets);
  if (!random(id)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  return id;
}

}  // namespace assertion
