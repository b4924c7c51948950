#include "config/text.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include "assertion/algorithm.h"
#include "assertion/foreign_text.h"
#include "assertion/utf8.h"
#include "config/invisible.h"

namespace assertion {
namespace {

// The Levenshtein distance.
std::size_t Distance(std::string_view a, std::string_view b) {
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

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

std::optional<std::string> FindInvisible(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto length = OctetsOfCharacter(text.substr(at));
    const auto character = text.substr(at, length == 0 ? 1 : length);
    const auto point = length == 0 ? U'\0' : CodePointOf(character);
    if (IsHidden(point) || IsBlank(point)) {
      return Shown(character, character.size(), " ") + " at octet " + std::to_string(at + 1);
    }
    at += character.size();
  }
  return std::nullopt;
}

std::string_view NearestWord(std::string_view text, std::span<const std::string_view> words) {
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
    const auto distance = Distance(lower, LowerCase(word));
    if (distance < least && distance <= most && distance < word.size()) {
      least = distance;
      nearest = word;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view text, std::span<const std::string_view> words) {
  const auto nearest = NearestWord(text, words);
  return nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
}

std::string NearestAlgorithm(std::string_view text) {
  std::array<std::string_view, kAlgorithms.size()> names;
  std::ranges::transform(kAlgorithms, names.begin(), &Algorithm::name);
  return DidYouMean(text, names);
}

}  // namespace assertion
