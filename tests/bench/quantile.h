#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace assertion::bench {

// Nearest rank: the smallest value that at least this share of all values does not exceed. 0 of none.
inline double Quantile(std::vector<double> values, double share) {
  if (values.empty()) {
    return 0;
  }
  const auto rank = std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(rank));
  return values[rank];
}

}  // namespace assertion::bench
