#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assertion {

// `text` with the letters of ASCII in lower case.
inline std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

// The Levenshtein distance.
inline std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto exchanged = diagonal + (a[i] == b[j] ? 0U : 1U);
      diagonal = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, exchanged}));
    }
  }
  return row.back();
}

// The word that is nearest to `text`, ignoring case; empty when none is near.
inline std::string_view NearestWord(std::string_view text, std::span<const std::string_view> words) {
  constexpr std::size_t kLongest = 64;
  constexpr std::size_t kNear = 2;
  if (text.empty() || text.size() > kLongest) {
    return {};
  }
  const auto lower = LowerCase(text);
  std::string_view nearest;
  auto least = std::string_view::npos;
  for (const auto word : words) {
    const auto most = std::max(kNear, word.size() / 3);
    if (word.size() > text.size() + most || text.size() > word.size() + most) {
      continue;  // spares the comparison
    }
    const auto distance = EditDistance(lower, LowerCase(word));
    if (distance < least && distance <= most && distance < word.size()) {
      least = distance;
      nearest = word;
    }
  }
  return nearest;
}

// `; did you mean "X"?` with that word; empty when none is near.
inline std::string DidYouMean(std::string_view text, std::span<const std::string_view> words) {
  const auto nearest = NearestWord(text, words);
  return nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
}

}  // namespace assertion
