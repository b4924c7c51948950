#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"

namespace assertion::jws {

// A JSON object as its writer wrote it: digits, exponents, escapes and order are the writer's. The views are into the
// text that was parsed.
struct ObjectText {
  struct Member {
    std::string name;  // escapes resolved, UTF-8
    std::string_view value;
  };

  std::vector<Member> members;  // in order; no two of one name
  std::string_view inside;      // what stands between the braces, without the white space at both ends

  static constexpr int kMaxDepth = 32;
};

// Takes one JSON object (RFC 8259) in UTF-8 and nothing besides, nested at most kMaxDepth deep, in time n log n.
// INVALID_ARGUMENT says where and why, "octet 17: …": also for names repeated in any object and for halves of surrogate
// pairs, which the RFC allows and readers take in different ways.
Result<ObjectText> ParseObjectText(std::string_view json);

// A JSON text with a member or element a line, every name and value as it was written.
std::string Indented(std::string_view json);

}  // namespace assertion::jws
