#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace assertion {

// The first character that is white space, a control or invisible (a zero-width space, a BOM), or the first octet that
// is no UTF-8: written as "\x0a" with its position. Nothing when every character is visible.
std::optional<std::string> FindInvisible(std::string_view text);

// `text` with the letters of ASCII in lower case.
std::string LowerCase(std::string_view text);

// The word that is nearest to `text`, ignoring case; empty when none is near.
std::string_view NearestWord(std::string_view text, std::span<const std::string_view> words);

// `; did you mean "X"?` with that word; empty when none is near.
std::string DidYouMean(std::string_view text, std::span<const std::string_view> words);

// The same for a name that is no JWS algorithm's.
std::string NearestAlgorithm(std::string_view text);

}  // namespace assertion
