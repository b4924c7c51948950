#include "policy/text_shapes.h"

#include <algorithm>
#include <array>

#include "assertion/authority.h"

namespace assertion {
namespace {

// The last segment of the URL's path.
std::string_view LastSegment(std::string_view url) { return url.substr(url.rfind('/') + 1); }

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

// RFC 3986 section 3.3.
bool IsPath(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' ? i + 2 >= text.size() || !IsOf(text.substr(i + 1, 2), kHexDigits)
                       : !kLetters.contains(text[i]) && !kDigits.contains(text[i]) &&
                             !std::string_view("/-._~!$&'()*+,;=:@").contains(text[i])) {
      return false;
    }
  }
  return true;
}

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

bool IsRequestTarget(std::string_view text) {
  const bool https = IsHttps(text);
  if (!https && !text.starts_with("http://")) {
    return false;
  }
  text.remove_prefix(text.find("://") + 3);
  const auto slash = std::min(text.find('/'), text.size());
  const auto authority = ParseAuthority(text.substr(0, slash));
  return authority && (https || authority->IsLoopback()) && IsPath(text.substr(slash));
}

bool IsDpopNonce(std::string_view text) {
  return !text.empty() && text.size() <= kMaxDpopNonceOctets &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
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

// The tenant is an id or a verified domain. "common", "organizations", "consumers", "TENANT" and "{tenant}" are
// neither.
bool IsEntraTokenEndpoint(std::string_view text) {
  const auto end = text.find("/oauth2/v2.0/");
  if (!IsTokenEndpoint(text) || end == std::string_view::npos) {
    return false;
  }
  const auto begin = text.rfind('/', end - 1) + 1;
  const auto tenant = text.substr(begin, end - begin);
  return IsUuid(tenant) || (IsOf(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") &&
                            tenant.contains('.') && !tenant.starts_with('.') && !tenant.ends_with('.'));
}

bool IsSalesforceAudience(std::string_view text) {
  return IsHttps(text) && !text.ends_with("/") && !text.contains("/services/oauth2/");
}

}  // namespace assertion
