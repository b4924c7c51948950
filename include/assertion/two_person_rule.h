#pragma once

#include <chrono>
#include <functional>
#include <set>
#include <string>

namespace assertion {

// Which methods of KeyAdminService take two persons, and how long the second has.
struct TwoPersonRule {
  std::set<std::string, std::less<>> methods;
  std::chrono::seconds window{3600};

  friend bool operator==(const TwoPersonRule&, const TwoPersonRule&) = default;
};

}  // namespace assertion
