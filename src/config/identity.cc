#include "config/identity.h"

#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>

#include "assertion/foreign_text.h"
#include "assertion/spiffe_id.h"
#include "config/text.h"

namespace assertion {
namespace {

constexpr uid_t kNobody = 65534;  // Linux' own overflow uid
constexpr std::string_view kSpiffe = "spiffe://";

uid_t OverflowUid() {
  std::ifstream file("/proc/sys/kernel/overflowuid");
  uid_t uid = kNobody;
  return file >> uid ? uid : kNobody;
}

std::unexpected<Error> Wrong(const std::string& why) { return Fail(Code::kInvalidArgument, why); }

// Reads a decimal uid without leading zeros. Refuses the largest uid_t, which means "no user" to the kernel.
std::optional<uid_t> ParseNumber(std::string_view text) {
  uid_t number = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [rest, failed] = std::from_chars(begin, end, number);
  const bool canonical = text == "0" || (!text.empty() && text.front() != '0');
  if (failed != std::errc() || rest != end || !canonical || number == static_cast<uid_t>(-1)) {
    return std::nullopt;
  }
  return number;
}

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// RFC 1123 section 2.1: labels of letters, digits and inner hyphens, the last not all digits.
bool IsHostName(std::string_view text) {
  constexpr std::size_t kMost = 253;
  constexpr std::size_t kMostOfLabel = 63;
  if (text.size() > kMost) {
    return false;
  }
  while (true) {
    const auto end = text.find('.');
    const auto label = text.substr(0, end);
    if (label.empty() || label.size() > kMostOfLabel || label.front() == '-' || label.back() == '-' ||
        !std::ranges::all_of(label, [](char c) { return IsLower(c) || IsDigit(c) || c == '-'; })) {
      return false;
    }
    if (end == std::string_view::npos) {
      return !std::ranges::all_of(label, IsDigit);
    }
    text.remove_prefix(end + 1);
  }
}

Result<std::string> ParseDns(std::string_view text, std::string_view host) {
  if (IsHostName(host)) {
    return std::string(text);
  }
  const auto lower = LowerCase(host);
  return Wrong("dns: must be a host's name in lower case, without wildcard or trailing dot" +
               (IsHostName(lower) ? "; did you mean \"dns:" + lower + "\"?" : ""));
}

Result<std::string> ParseSpiffe(std::string_view text) {
  const bool is_prefix = text.ends_with("/*");
  if (is_prefix ? !IsSpiffeId(text.substr(0, text.size() - 2)) : !IsWorkloadSpiffeId(text)) {
    return Wrong(
        "must be a SPIFFE ID: spiffe://, a trust domain of a-z 0-9 . _ -, and one or more segments of A-Z a-z 0-9 . _ "
        "- of which "
        "none is empty, . or ..; or a trust domain with or without segments, and /*");
  }
  return std::string(text);
}

// The error for an unknown kind of identity, with the kind that was probably meant.
std::unexpected<Error> WrongKind(std::string_view text) {
  struct Meant {
    std::string_view word;
    std::string_view kind;
  };
  static constexpr std::array<Meant, 10> kMeant = {{{"gid", "uid:"},
                                                    {"group", "user:"},
                                                    {"cn", "dns:"},
                                                    {"san", "dns:"},
                                                    {"host", "dns:"},
                                                    {"name", "user:"},
                                                    {"uri", ""},
                                                    {"username", "user:"},
                                                    {"login", "user:"},
                                                    {"id", "uid:"}}};
  static constexpr std::array<std::string_view, 4> kKinds = {"uid", "user", "dns", "spiffe"};
  constexpr std::size_t kMostShown = 80;
  std::string why =
      "must be uid:NUMBER, user:NAME, dns:host.in.lower.case, spiffe://trust-domain/path, or such a path and /*";
  const auto colon = text.find(':');
  const auto word = LowerCase(text.substr(0, colon));
  const auto rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (word == "gid" || word == "group") {
    why += " (groups are no callers)";
  }
  if (colon == std::string_view::npos) {
    const bool name = !text.empty() && !FindInvisible(text) && !text.contains('*');
    return Wrong(why + (ParseNumber(text) ? "; did you mean \"uid:" + std::string(text) + "\"?"
                        : name            ? "; did you mean \"user:" + Shown(text, kMostShown) + "\"?"
                                          : ""));
  }
  std::string meant;
  if (const auto* const found = std::ranges::find(kMeant, word, &Meant::word); found != kMeant.end()) {
    meant = found->kind;
  } else if (const auto near = NearestWord(word, kKinds); !near.empty()) {
    meant = std::string(near) + ':';
  }
  // A suggestion that would be refused as well is none.
  auto name = meant == "dns:" ? LowerCase(rest) : std::string(rest);
  if (meant == "spiffe:") {
    name = "//" + name.substr(std::min(name.find_first_not_of('/'), name.size()));
  }
  const bool fits = meant == "uid:"      ? ParseNumber(rest).has_value()
                    : meant == "dns:"    ? IsHostName(name)
                    : meant == "spiffe:" ? ParseSpiffe(meant + name).has_value()
                                         : !meant.empty() && !rest.empty();
  return Wrong(why + (fits ? "; did you mean \"" + meant + Shown(name, kMostShown) + "\"?" : ""));
}

}  // namespace

Identities::Identities() : overflow_(OverflowUid()) {}

Result<std::string> Identities::ParseUid(std::string_view number) const {
  const auto uid = ParseNumber(number);
  if (!uid) {
    return Wrong("uid: must be a number from 0 to 4294967294, without leading zeros");
  }
  if (*uid == overflow_ || *uid == kNobody) {
    return Wrong(
        "uid " + std::to_string(*uid) +
        " is the overflow uid: all processes of other user namespaces (rootless containers) are known by it, so "
        "that it would let in all of them; give the caller a user of its own");
  }
  return "uid:" + std::string(number);
}

Result<std::string> Identities::ParseUser(std::string_view name) {
  if (const auto known = users_.find(name); known != users_.end()) {
    return known->second;
  }
  constexpr std::size_t kMostOfUser = 64;
  Result<std::string> user = Wrong("user: this machine has no user " + Quoted(std::string(name), kMostOfUser) +
                                   ": make it first, or write its number, \"uid:NUMBER\"");
  if (ParseNumber(name)) {
    user = Wrong("user: must be a name; did you mean \"uid:" + std::string(name) + "\"?");
  } else if (!name.empty() && !FindInvisible(name)) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 65536> buffer{};
    const std::string text(name);
    if (const int error = getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found); found != nullptr) {
      user = ParseUid(std::to_string(found->pw_uid));
    } else if (error != 0) {
      user = Wrong(std::string("user: cannot be looked up: ") + std::strerror(error));
    }
  }
  return users_.emplace(name, std::move(user)).first->second;
}

Result<std::string> Identities::Parse(std::string_view text) {
  const auto after = [&](std::string_view prefix) { return text.substr(prefix.size()); };
  if (const auto invisible = FindInvisible(text)) {
    return Wrong("has " + *invisible + ", which no caller's name has");
  }
  if (text.starts_with("uid:")) {
    return ParseUid(after("uid:"));
  }
  if (text.starts_with("user:")) {
    return ParseUser(after("user:"));
  }
  if (text.starts_with("dns:")) {
    return ParseDns(text, after("dns:"));
  }
  return text.starts_with(kSpiffe) ? ParseSpiffe(text) : WrongKind(text);
}

}  // namespace assertion
