#include "cli/html.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "assertion/bytes.h"
#include "assertion/utf8.h"

namespace assertion::cli {
namespace {

struct CodePoints {
  char32_t first;
  char32_t last;
};

// What changes how other text looks, or cannot be seen.
constexpr std::array<CodePoints, 13> kInvisible = {{{.first = 0x80, .last = 0x9F},
                                                    {.first = 0xAD, .last = 0xAD},
                                                    {.first = 0x34F, .last = 0x34F},
                                                    {.first = 0x61C, .last = 0x61C},
                                                    {.first = 0x115F, .last = 0x1160},
                                                    {.first = 0x180B, .last = 0x180F},
                                                    {.first = 0x200B, .last = 0x200F},
                                                    {.first = 0x2028, .last = 0x202E},
                                                    {.first = 0x2060, .last = 0x206F},
                                                    {.first = 0x3164, .last = 0x3164},
                                                    {.first = 0xFE00, .last = 0xFE0F},
                                                    {.first = 0xFEFF, .last = 0xFEFF},
                                                    {.first = 0xFFF0, .last = 0xFFFB}}};
constexpr char32_t kTags = 0xE0000;  // and variation selectors: U+E0000 to U+E0FFF
constexpr char32_t kTagsEnd = 0xE0FFF;

char32_t CodePointOf(std::string_view character) {
  constexpr std::array<unsigned, 5> kBits = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t value = static_cast<unsigned char>(character.front()) & kBits.at(character.size());
  for (const char octet : character.substr(1)) {
    value = value << 6U | (static_cast<unsigned char>(octet) & 0x3FU);
  }
  return value;
}

bool IsInvisible(char32_t value) {
  return (value >= kTags && value <= kTagsEnd) || std::ranges::any_of(kInvisible, [&](const auto& range) {
           return range.first <= value && value <= range.last;
         });
}

std::string EscapedAscii(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      constexpr char kDelete = 0x7F;
      const bool visible = (c >= ' ' && c != kDelete) || c == '\n' || c == '\t';
      return visible ? std::string(1, c) : "\\x" + Hex(AsBytes({&c, 1}));
  }
}

std::string UnicodeEscape(char32_t value) {
  const std::array<std::uint8_t, 3> octets = {static_cast<std::uint8_t>(value >> 16U),
                                              static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
  const auto digits = Hex(octets);
  constexpr std::size_t kShort = 2;  // "00" before a character of the basic plane
  return "\\u" + (digits.starts_with("00") ? digits.substr(kShort) : "{" + digits + "}");
}

}  // namespace

std::string Escaped(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const auto octets = OctetsOfCharacter(text);
    const auto character = text.substr(0, std::max<std::size_t>(octets, 1));
    if (octets == 0) {
      escaped += "\\x" + Hex(AsBytes(character));
    } else if (octets == 1) {
      escaped += EscapedAscii(character.front());
    } else if (const auto value = CodePointOf(character); IsInvisible(value)) {
      escaped += UnicodeEscape(value);
    } else {
      escaped += character;
    }
    text.remove_prefix(character.size());
  }
  return escaped;
}

}  // namespace assertion::cli
