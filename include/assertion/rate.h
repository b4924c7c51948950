#pragma once

#include <cstdint>

namespace assertion {

// The rate at which a caller may ask: a bucket of `burst` tokens, filled with `per_second` tokens a second.
struct Rate {
  std::int64_t per_second;  // 1 to 1000000
  std::int64_t burst;       // 1 to 1000000

  friend bool operator==(const Rate&, const Rate&) = default;
};

}  // namespace assertion
