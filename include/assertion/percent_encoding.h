#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace assertion {

// RFC 3986 section 2.1. Nothing: it has a percent sign that begins no octet.
inline std::optional<std::string> PercentDecoded(std::string_view text) {
  constexpr int kHexadecimal = 16;
  constexpr std::size_t kDigits = 2;
  std::string decoded;
  decoded.reserve(text.size());
  while (!text.empty()) {
    if (!text.starts_with('%')) {
      decoded += text.front();
      text.remove_prefix(1);
      continue;
    }
    const auto digits = text.substr(1, kDigits);
    unsigned char octet = 0;
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): its end is given
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), octet, kHexadecimal);
    if (digits.size() < kDigits || read.ptr != digits.data() + digits.size()) {
      return std::nullopt;
    }
    decoded += static_cast<char>(octet);
    text.remove_prefix(1 + kDigits);
  }
  return decoded;
}

// A name or value of application/x-www-form-urlencoded (RFC 6749 appendix B): a plus sign is a blank.
inline std::optional<std::string> FormDecoded(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  return PercentDecoded(spaced);
}

}  // namespace assertion
