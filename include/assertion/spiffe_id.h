#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace assertion {

// True when `text` is a SPIFFE ID (SPIFFE-ID.md, section 2): "spiffe://", a trust domain of at most 255 of [a-z0-9._-],
// and a path of segments of [A-Za-z0-9._-], none of them empty, "." or ".."; at most 2048 octets in all. The path may
// be absent. No port, user information, query, fragment or percent-encoding.
constexpr bool IsSpiffeId(std::string_view text) {
  constexpr std::string_view kScheme = "spiffe://";
  constexpr std::size_t kMostOctets = 2048;
  constexpr std::size_t kMostOctetsOfTrustDomain = 255;
  if (text.size() > kMostOctets || !text.starts_with(kScheme)) {
    return false;
  }
  text.remove_prefix(kScheme.size());
  const auto in_trust_domain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  const auto in_segment = [&](char c) { return in_trust_domain(c) || (c >= 'A' && c <= 'Z'); };

  auto end = text.find('/');
  const auto trust_domain = text.substr(0, end);
  if (trust_domain.empty() || trust_domain.size() > kMostOctetsOfTrustDomain ||
      !std::ranges::all_of(trust_domain, in_trust_domain)) {
    return false;
  }
  while (end != std::string_view::npos) {
    text.remove_prefix(end + 1);
    end = text.find('/');
    const auto segment = text.substr(0, end);
    if (segment.empty() || segment == "." || segment == ".." || !std::ranges::all_of(segment, in_segment)) {
      return false;
    }
  }
  return true;
}

// True when `text` is the SPIFFE ID of a workload: it has a path (X509-SVID.md, section 2). Without one it names a
// trust domain, which is no caller.
constexpr bool IsWorkloadSpiffeId(std::string_view text) {
  constexpr std::size_t kSchemeOctets = 9;
  return IsSpiffeId(text) && text.find('/', kSchemeOctets) != std::string_view::npos;
}

}  // namespace assertion
