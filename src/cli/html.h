#pragma once

#include <string>
#include <string_view>

namespace assertion::cli {

// Text from elsewhere for an HTML element or a quoted attribute. Newlines and tabulators stay. Other controls,
// characters that reorder or hide text (Unicode bidirectional and zero-width), and octets that are not UTF-8 become
// visible: \x1b,
// \u202e.
std::string Escaped(std::string_view text);

}  // namespace assertion::cli
