#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace assertion {

// Fills the span with random octets; false when the generator fails.
using Random = std::function<bool(std::span<std::uint8_t>)>;

}  // namespace assertion
