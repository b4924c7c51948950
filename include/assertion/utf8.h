#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace assertion {

// The length in octets of the first character of `text`; 0 when `text` is empty or does not begin with well-formed
// UTF-8 (RFC 3629: no surrogates, no overlong forms).
constexpr std::size_t OctetsOfCharacter(std::string_view text) {
  // RFC 3629 section 4: the first octets, the length of their characters, and the range of the second octet.
  struct Beginning {
    std::uint8_t first;
    std::uint8_t last;
    std::size_t octets;
    std::uint8_t second_first;
    std::uint8_t second_last;
  };
  constexpr std::array<Beginning, 9> kBeginnings = {{
      {.first = 0x00, .last = 0x7F, .octets = 1, .second_first = 0, .second_last = 0},
      {.first = 0xC2, .last = 0xDF, .octets = 2, .second_first = 0x80, .second_last = 0xBF},
      {.first = 0xE0, .last = 0xE0, .octets = 3, .second_first = 0xA0, .second_last = 0xBF},
      {.first = 0xE1, .last = 0xEC, .octets = 3, .second_first = 0x80, .second_last = 0xBF},
      {.first = 0xED, .last = 0xED, .octets = 3, .second_first = 0x80, .second_last = 0x9F},
      {.first = 0xEE, .last = 0xEF, .octets = 3, .second_first = 0x80, .second_last = 0xBF},
      {.first = 0xF0, .last = 0xF0, .octets = 4, .second_first = 0x90, .second_last = 0xBF},
      {.first = 0xF1, .last = 0xF3, .octets = 4, .second_first = 0x80, .second_last = 0xBF},
      {.first = 0xF4, .last = 0xF4, .octets = 4, .second_first = 0x80, .second_last = 0x8F},
  }};
  constexpr auto kIsBetween = [](char octet, std::uint8_t first, std::uint8_t last) {
    const auto value = static_cast<std::uint8_t>(octet);
    return first <= value && value <= last;
  };
  constexpr std::uint8_t kFirst = 0x80;
  constexpr std::uint8_t kLast = 0xBF;
  if (text.empty()) {
    return 0;
  }
  const auto* const found = std::ranges::find_if(
      kBeginnings, [&](const Beginning& one) { return kIsBetween(text.front(), one.first, one.last); });
  if (found == kBeginnings.end() || text.size() < found->octets) {
    return 0;
  }
  const bool follows = found->octets == 1 || (kIsBetween(text[1], found->second_first, found->second_last) &&
                                              std::ranges::all_of(text.substr(2, found->octets - 2), [&](char octet) {
                                                return kIsBetween(octet, kFirst, kLast);
                                              }));
  return follows ? found->octets : 0;
}

constexpr bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const auto octets = OctetsOfCharacter(text);
    if (octets == 0) {
      return false;
    }
    text.remove_prefix(octets);
  }
  return true;
}

}  // namespace assertion
