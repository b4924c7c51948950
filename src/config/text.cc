#include "config/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "assertion/foreign_text.h"
#include "assertion/utf8.h"

namespace assertion {
namespace {

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// White space, controls, format characters, variation selectors and tags of Unicode 15.
constexpr std::array<Range, 20> kInvisible = {{
    {0x00, 0x20},     {0x7F, 0xA0},     {0xAD, 0xAD},     {0x034F, 0x034F}, {0x0600, 0x0605},
    {0x061C, 0x061C}, {0x115F, 0x1160}, {0x1680, 0x1680}, {0x17B4, 0x17B5}, {0x180B, 0x180F},
    {0x2000, 0x200F}, {0x2028, 0x202F}, {0x205F, 0x206F}, {0x2800, 0x2800}, {0x3000, 0x3000},
    {0x3164, 0x3164}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFF0, 0xFFFB}, {0xE0000, 0xE0FFF},
}};

std::uint32_t CodePoint(std::string_view character) {
  constexpr std::array<std::uint32_t, 4> kFirst = {0x7F, 0x1F, 0x0F, 0x07};
  constexpr std::uint32_t kBits = 6;
  constexpr std::uint32_t kRest = 0x3F;
  auto point = static_cast<unsigned char>(character.front()) & kFirst.at(character.size() - 1);
  for (const auto octet : character.substr(1)) {
    point = (point << kBits) | (static_cast<unsigned char>(octet) & kRest);
  }
  return point;
}

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
    const auto point = length == 0 ? 0 : CodePoint(character);
    if (std::ranges::any_of(kInvisible, [&](const Range& r) { return r.first <= point && point <= r.last; })) {
      return Shown(character, character.size(), " ") + " at octet " + std::to_string(at + 1);
    }
    at += character.size();
  }
  return std::nullopt;
}

std::string DidYouMean(std::string_view text, std::span<const std::string_view> words) {
  constexpr std::size_t kLongest = 32;
  constexpr std::size_t kNear = 2;
  if (text.empty() || text.size() > kLongest) {
    return {};
  }
  const auto lower = LowerCase(text);
  std::string_view nearest;
  auto least = std::string_view::npos;
  for (const auto word : words) {
    const auto distance = Distance(lower, LowerCase(word));
    if (distance < least && distance <= std::max(kNear, word.size() / 3) && distance < word.size()) {
      least = distance;
      nearest = word;
    }
  }
  return nearest.empty() ? "" : "; did you mean " + std::string(nearest) + "?";
}

}  // namespace assertion
