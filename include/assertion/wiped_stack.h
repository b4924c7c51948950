#pragma once

#include <array>
#include <cstddef>
#include <cstring>

namespace assertion {

// Wipes so many octets of the stack below the caller's frame, where functions that have returned left their variables
// and the registers that they saved.
template <std::size_t kDepth>
[[gnu::noinline]] void WipeStack() {
  std::array<char, kDepth> below;  // NOLINT(cppcoreguidelines-pro-type-member-init): what it holds is wiped
  explicit_bzero(below.data(), below.size());
}

}  // namespace assertion
