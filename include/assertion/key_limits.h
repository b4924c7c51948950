#pragma once

#include <cstddef>
#include <cstdint>

namespace assertion {

// Limits of key generation. The very first key of a client does not count towards the last two.
struct KeyLimits {
  static constexpr std::int64_t kMostPerClient = 64;
  static constexpr std::int64_t kMostPerHour = 100'000;

  std::size_t per_client = 8;             // 1 to 64: keys of one client that are not destroyed, withdrawn ones included
  std::size_t generations_per_hour = 60;  // 1 to 100000: for all clients together
  std::size_t client_generations_per_hour = 4;  // 1 to 100000: for one client

  friend bool operator==(const KeyLimits&, const KeyLimits&) = default;
};

}  // namespace assertion
