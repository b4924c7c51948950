#include "cli/html.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "assertion/bytes.h"
#include "assertion/utf8.h"
#include "config/invisible.h"

namespace assertion::cli {
namespace {

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
    } else if (const auto value = CodePointOf(character); IsHidden(value)) {
      escaped += UnicodeEscape(value);
    } else {
      escaped += character;
    }
    text.remove_prefix(character.size());
  }
  return escaped;
}

}  // namespace assertion::cli
