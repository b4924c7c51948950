#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace assertion {

// The methods of KeyAdminService that create, move or end a key: the rule can cover these. ImportKey is refused when it
// is covered: its private key must not be stored until a second person agrees.
inline constexpr std::array<std::string_view, 9> kTwoPersonMethods = {"GenerateKey",  "RotateKey", "ImportCertificate",
                                                                      "ScheduleKey",  "RevokeKey", "DestroyKey",
                                                                      "AcceptLedger", "AdoptKey",  "ImportKey"};

// The methods that need a second person, and the time that the second person has.
struct TwoPersonRule {
  std::set<std::string, std::less<>> methods;
  std::chrono::seconds window{3600};

  friend bool operator==(const TwoPersonRule&, const TwoPersonRule&) = default;
};

}  // namespace assertion
