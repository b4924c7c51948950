#pragma once

#include <string_view>

namespace assertion {

// The code point of one character of well-formed UTF-8.
char32_t CodePointOf(std::string_view character);

// Characters that no reader sees and that steer a terminal, reorder text or make it look like other text: controls,
// format characters, line separators, variation selectors and tags of Unicode 15.
bool IsHidden(char32_t point);

// White space that is no control.
bool IsBlank(char32_t point);

}  // namespace assertion
