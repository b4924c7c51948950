#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace assertion {

// Text that somebody else chose, for a message or a log: visible ASCII stays, every other octet and those of `escaped`
// become \xNN. So it can neither control a terminal, nor forge a line or a field, nor stop being UTF-8 where it is cut.
// Longer text is cut to `most` octets and ends in "...".
inline std::string Shown(std::string_view text, std::size_t most, std::string_view escaped = {}) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr unsigned kHalf = 4;
  constexpr unsigned kLow = 0xF;
  std::string shown;
  for (const auto octet : text.substr(0, most)) {
    if (octet >= ' ' && octet <= '~' && escaped.find(octet) == std::string_view::npos) {
      shown += octet;
    } else {
      const auto value = static_cast<unsigned char>(octet);
      shown.append("\\x").append({kDigits[value >> kHalf], kDigits[value & kLow]});
    }
  }
  return text.size() > most ? shown + "..." : shown;
}

// The same in quotation marks, which it cannot contain.
inline std::string Quoted(std::string_view text, std::size_t most) { return '"' + Shown(text, most, "\"\\") + '"'; }

}  // namespace assertion
