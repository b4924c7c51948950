#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assertion {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

// The octets of a text, without a copy.
inline BytesView AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Lower-case hexadecimal (RFC 4648 section 8), as CKA_ID is usually written.
inline std::string Hex(BytesView bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const auto byte : bytes) {
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 0xFU];
  }
  return hex;
}

// Hexadecimal in either case, two digits an octet. Nothing when the text is anything else.
inline std::optional<Bytes> ParseHex(std::string_view hex) {
  static constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
  constexpr std::size_t kUpperCase = 6;  // distance of "A" from "a" in it
  Bytes octets;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned octet = 0;
    for (const auto digit : {hex[i], i + 1 < hex.size() ? hex[i + 1] : ' '}) {
      const auto value = kDigits.find(digit);
      if (value == std::string_view::npos) {
        return std::nullopt;
      }
      octet = octet * 16 + static_cast<unsigned>(value < 16 ? value : value - kUpperCase);
    }
    octets.push_back(static_cast<std::uint8_t>(octet));
  }
  return octets;
}

}  // namespace assertion
