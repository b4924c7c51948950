#include "config/invisible.h"

#include <algorithm>
#include <array>

namespace assertion {
namespace {

struct CodePoints {
  char32_t first;
  char32_t last;
};

constexpr std::array<CodePoints, 17> kHidden = {{
    {.first = 0x00, .last = 0x1F},
    {.first = 0x7F, .last = 0x9F},
    {.first = 0xAD, .last = 0xAD},
    {.first = 0x034F, .last = 0x034F},
    {.first = 0x0600, .last = 0x0605},
    {.first = 0x061C, .last = 0x061C},
    {.first = 0x115F, .last = 0x1160},
    {.first = 0x17B4, .last = 0x17B5},
    {.first = 0x180B, .last = 0x180F},
    {.first = 0x200B, .last = 0x200F},
    {.first = 0x2028, .last = 0x202E},
    {.first = 0x2060, .last = 0x206F},
    {.first = 0x3164, .last = 0x3164},
    {.first = 0xFE00, .last = 0xFE0F},
    {.first = 0xFEFF, .last = 0xFEFF},
    {.first = 0xFFF0, .last = 0xFFFB},
    {.first = 0xE0000, .last = 0xE0FFF},
}};

constexpr std::array<CodePoints, 8> kSpaces = {{
    {.first = 0x20, .last = 0x20},
    {.first = 0xA0, .last = 0xA0},
    {.first = 0x1680, .last = 0x1680},
    {.first = 0x2000, .last = 0x200A},
    {.first = 0x202F, .last = 0x202F},
    {.first = 0x205F, .last = 0x205F},
    {.first = 0x2800, .last = 0x2800},
    {.first = 0x3000, .last = 0x3000},
}};

template <std::size_t N>
bool Contains(const std::array<CodePoints, N>& ranges, char32_t point) {
  return std::ranges::any_of(ranges,
                             [&](const CodePoints& range) { return range.first <= point && point <= range.last; });
}

}  // namespace

char32_t CodePointOf(std::string_view character) {
  constexpr std::array<char32_t, 4> kFirst = {0x7F, 0x1F, 0x0F, 0x07};
  constexpr unsigned kBits = 6;
  constexpr char32_t kRest = 0x3F;
  char32_t point = static_cast<unsigned char>(character.front()) & kFirst.at(character.size() - 1);
  for (const auto octet : character.substr(1)) {
    point = (point << kBits) | (static_cast<unsigned char>(octet) & kRest);
  }
  return point;
}

bool IsHidden(char32_t point) { return Contains(kHidden, point); }

bool IsBlank(char32_t point) { return Contains(kSpaces, point); }

}  // namespace assertion
