#include "observe/http_target.h"

#include <charconv>
#include <cstddef>

namespace assertion {

std::optional<std::string> PercentDecoded(std::string_view text) {
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

std::optional<std::string> ClientIn(std::string_view path, std::string_view suffix) {
  constexpr std::string_view kPrefix = "/clients/";
  if (!path.starts_with(kPrefix) || !path.ends_with(suffix) || path.size() <= kPrefix.size() + suffix.size()) {
    return std::nullopt;
  }
  return std::string(path.substr(kPrefix.size(), path.size() - kPrefix.size() - suffix.size()));
}

}  // namespace assertion
