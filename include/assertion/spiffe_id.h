#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace assertion {

// Whether `text` is the ID of a workload as "The SPIFFE Identity and Verifiable Identity Document", section 2, writes
// it: spiffe://trust-domain/segment/segment… of at most 2048 octets. The trust domain is lower-case letters, digits,
// ".", "-" and "_"; each segment is letters, digits and these, not empty and neither "." nor "..". IDs that are valid
// are compared octet for octet: there is no other spelling of the same ID.
inline bool IsSpiffeId(std::string_view text) {
  constexpr std::string_view kScheme = "spiffe://";
  constexpr std::size_t kMostOctets = 2048;
  constexpr std::size_t kMostDomainOctets = 255;
  const auto lower = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  };
  const auto any = [&](char c) { return lower(c) || (c >= 'A' && c <= 'Z'); };
  if (text.size() > kMostOctets || !text.starts_with(kScheme)) {
    return false;
  }
  text.remove_prefix(kScheme.size());
  auto end = text.find('/');
  if (end == 0 || end == std::string_view::npos || end > kMostDomainOctets ||
      !std::ranges::all_of(text.substr(0, end), lower)) {
    return false;
  }
  while (end != std::string_view::npos) {
    text.remove_prefix(end + 1);
    end = text.find('/');
    const auto segment = text.substr(0, end);
    if (segment.empty() || segment == "." || segment == ".." || !std::ranges::all_of(segment, any)) {
      return false;
    }
  }
  return true;
}

}  // namespace assertion
