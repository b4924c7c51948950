#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "assertion/nearest_word.h"

namespace assertion {

// The first character that is white space, a control or invisible (a zero-width space, a BOM), or the first octet that
// is no UTF-8: written as "\x0a" with its position. Nothing when every character is visible.
std::optional<std::string> FindInvisible(std::string_view text);

// DidYouMean for a name that is no JWS algorithm's.
std::string NearestAlgorithm(std::string_view text);

// The same for a name that is no profile's. A name's beginning will do: "entra" for "entra-id".
std::string NearestProfile(std::string_view text);

}  // namespace assertion
