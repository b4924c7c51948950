#include "policy/text_shapes.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace assertion {
namespace {

// The last segment of the URL's path.
std::string_view LastSegment(std::string_view url) { return url.substr(url.rfind('/') + 1); }

}  // namespace

bool IsAnything(std::string_view /*text*/) { return true; }

bool IsHttps(std::string_view text) { return text.starts_with("https://"); }

bool IsTokenEndpoint(std::string_view text) { return IsHttps(text) && LastSegment(text) == "token"; }

bool IsIssuer(std::string_view text) {
  static constexpr std::array<std::string_view, 6> kEndpoints = {"token",     "par",    "introspect",
                                                                 "authorize", "revoke", "openid-configuration"};
  return IsHttps(text) && text.find_first_of("?#") == std::string_view::npos &&
         std::ranges::find(kEndpoints, LastSegment(text)) == kEndpoints.end();
}

bool IsUuid(std::string_view text) {
  constexpr std::size_t kOctets = 36;
  static constexpr std::array<std::size_t, 4> kHyphens = {8, 13, 18, 23};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = std::ranges::find(kHyphens, i) != kHyphens.end();
    if (hyphen ? text[i] != '-' : !std::string_view("0123456789abcdefABCDEF").contains(text[i])) {
      return false;
    }
  }
  return text.size() == kOctets;
}

bool IsOf(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

bool IsSnowflakeUser(std::string_view text) {
  const auto dot = text.find('.');
  return dot != std::string_view::npos && IsOf(text.substr(0, dot), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") &&
         dot + 1 < text.size() && text.find_first_of("abcdefghijklmnopqrstuvwxyz") == std::string_view::npos;
}

bool IsEntraTokenEndpoint(std::string_view text) {
  return IsTokenEndpoint(text) && text.contains("/oauth2/v2.0/") && !text.contains("/common/") &&
         !text.contains("/organizations/");
}

bool IsSalesforceAudience(std::string_view text) {
  return IsHttps(text) && !text.ends_with("/") && !text.contains("/services/oauth2/");
}

}  // namespace assertion
