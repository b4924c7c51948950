#pragma once

#include <cstddef>
#include <string_view>

namespace assertion {

// How many octets the character has that `text` begins with; 0 when it begins with none that is well-formed UTF-8
// (RFC 3629: no surrogates, nothing longer than it need be) or is empty.
std::size_t OctetsOfCharacter(std::string_view text);

bool IsUtf8(std::string_view text);

}  // namespace assertion
