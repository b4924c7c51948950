#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"

namespace assertion::jws {

// A JSON object that keeps its digits, exponents, escapes and order as written. The views point into the parsed
// text.
struct ObjectText {
  struct Member {
    std::string name;  // escapes resolved, UTF-8
    std::string_view value;
  };

  std::vector<Member> members;  // in order; no name is repeated
  std::string_view inside;      // the text between the braces, trimmed

  static constexpr int kMaxDepth = 32;

  // The value of the member with this name; nothing when there is none.
  std::optional<std::string_view> Find(std::string_view name) const {
    const auto found = std::ranges::find(members, name, &Member::name);
    return found == members.end() ? std::nullopt : std::optional(found->value);
  }
};

// Takes one JSON object (RFC 8259) in UTF-8 and nothing besides, nested at most kMaxDepth deep, in time n log n.
// INVALID_ARGUMENT says where and why, "octet 17: …": also for names repeated in any object and for halves of surrogate
// pairs, which the RFC allows and readers take in different ways.
Result<ObjectText> ParseObjectText(std::string_view json);

// The JSON text with one member or element on each line; names and values stay as written.
std::string Indented(std::string_view json);

}  // namespace assertion::jws
