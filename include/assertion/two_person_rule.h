#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace assertion {

// The methods of KeyAdminService that make, move or end a key: those that the rule can cover.
inline constexpr std::array<std::string_view, 7> kTwoPersonMethods = {
    "GenerateKey", "RotateKey", "ImportCertificate", "ScheduleKey", "RevokeKey", "DestroyKey", "AcceptLedger"};

// Which of them take two persons, and how long the second has.
struct TwoPersonRule {
  std::set<std::string, std::less<>> methods;
  std::chrono::seconds window{3600};

  friend bool operator==(const TwoPersonRule&, const TwoPersonRule&) = default;
};

}  // namespace assertion
