#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "keys/key_change.h"

namespace assertion {

// The change as a JSON object, for storage. Names are sorted and what is unset is left out, so that one change always
// has one text.
std::string TextOf(const KeyChange& change);

// The change that TextOf wrote. Unset when a member is missing, has another type or is unknown.
std::optional<KeyChange> ParseKeyChange(std::string_view text);

}  // namespace assertion
