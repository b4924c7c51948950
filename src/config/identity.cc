#include "config/identity.h"

#include <pwd.h>
#include <sys/types.h>

#include <algorithm>
#include <array>

namespace assertion {
namespace {

constexpr std::size_t kMostOctets = 2048;  // SPIFFE ID, section 2.3

bool IsNumber(std::string_view text) {
  constexpr std::size_t kMostDigits = 10;
  return !text.empty() && text.size() <= kMostDigits && (text == "0" || text.front() != '0') &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool IsHostName(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

// Visible US-ASCII after "scheme:".
bool IsUri(std::string_view text) {
  const auto colon = text.find(':');
  return colon != std::string_view::npos && colon > 0 && colon + 1 < text.size() &&
         std::ranges::all_of(text.substr(0, colon), [](char c) { return c >= 'a' && c <= 'z'; }) &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F && c != '*'; });
}

// spiffe://trust-domain/… and "/*"
bool IsPrefix(std::string_view text) {
  constexpr std::string_view kScheme = "spiffe://";
  if (!text.starts_with(kScheme) || !text.ends_with("/*")) {
    return false;
  }
  text.remove_suffix(2);
  return text.size() > kScheme.size() && text[kScheme.size()] != '/' && IsUri(text);
}

Result<std::string> UserByName(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return Fail(Code::kInvalidArgument, "this machine has no such user");
  }
  return "uid:" + std::to_string(found->pw_uid);
}

}  // namespace

Result<std::string> ParseIdentity(std::string_view text) {
  const auto after = [&](std::string_view prefix) { return text.substr(prefix.size()); };
  const bool user = text.starts_with("user:");
  if (user && text.size() > 5 && text.find('\0') == std::string_view::npos) {
    return UserByName(std::string(after("user:")));
  }
  const bool known = text.starts_with("uid:")   ? IsNumber(after("uid:"))
                     : text.starts_with("dns:") ? IsHostName(after("dns:"))
                                                : !user && (IsUri(text) || IsPrefix(text));
  if (!known || text.size() > kMostOctets) {
    return Fail(Code::kInvalidArgument,
                "must be uid:NUMBER, user:NAME, dns:host.in.lower.case, a URI, or spiffe://trust-domain/path/*");
  }
  return std::string(text);
}

}  // namespace assertion
