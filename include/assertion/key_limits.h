#pragma once

#include <cstddef>
#include <cstdint>

namespace assertion {

// How many keys operators may make. A client's very first key counts in neither of the last two.
struct KeyLimits {
  static constexpr std::int64_t kMostPerClient = 64;
  static constexpr std::int64_t kMostPerHour = 100'000;

  std::size_t per_client = 8;                   // 1 to 64: of one client, withdrawn ones included, until destroyed
  std::size_t generations_per_hour = 60;        // 1 to 100000: of all clients
  std::size_t client_generations_per_hour = 4;  // 1 to 100000: of one client

  friend bool operator==(const KeyLimits&, const KeyLimits&) = default;
};

}  // namespace assertion
